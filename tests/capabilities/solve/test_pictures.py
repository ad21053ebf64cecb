"""What is made of a picture before a provider gets it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from capabilities.solve.pictures.decoder.messages import messages
from capabilities.solve.pictures.decoder.orientation import orientation_of
from capabilities.solve.pictures.decoder.picture import Prepared
from capabilities.solve.pictures.decoder.prepare import LONGEST_SIDE
from capabilities.solve.pictures.decoders import PictureDecoders
from capabilities.solve.pictures.problems import (
    DecodersBusy,
    PictureFormatNotSupported,
    PictureHasTooManyPixels,
    PictureProblem,
    PictureUnreadable,
)
from capabilities.solve.pictures.read_header import MOST_GIF_BLOCKS, read_header
from tests.capabilities.solve.made_pictures import (
    MARK,
    PDF,
    SVG,
    ZIP,
    avif,
    drawn,
    formula,
    gif_of_frames,
    heic,
    noise,
    photo,
    png_chunk,
    png_of,
    saved,
    webp_of,
)

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
DECODERS = PictureDecoders()


@pytest.fixture(autouse=True, scope="module")
def decoders_are_closed() -> Iterator[None]:
    yield
    DECODERS.close()


def prepared(data: bytes) -> Prepared:
    return DECODERS.prepare(read_header(data))


def opened(picture: Prepared) -> Image.Image:
    image = Image.open(BytesIO(picture.data))
    assert (image.format, image.size) == (picture.format.upper(), (picture.width, picture.height))
    assert picture.media_type == f"image/{picture.format}"
    return image


def is_marked(image: Image.Image, x: int, y: int) -> bool:
    red, green, blue = image.convert("RGB").getpixel((x, y))  # type: ignore[misc]  # three bands
    return abs(red - MARK[0]) < 30 and green < 60 and blue < 60


def test_an_upright_jpeg_that_fits_keeps_its_pixels() -> None:
    given_, made = photo(), prepared(photo())
    assert Image.open(BytesIO(made.data)).tobytes() == Image.open(BytesIO(given_)).tobytes()
    assert len(made.data) < len(given_)


def test_an_opaque_png_that_fits_keeps_its_pixels() -> None:
    made = prepared(formula())
    assert (made.format, opened(made).tobytes()) == ("png", Image.open(BytesIO(formula())).tobytes())


@pytest.mark.parametrize("turned", [3, 6, 8])
@pytest.mark.parametrize("size", [(120, 80), (4032, 3024)])
def test_a_turned_photo_is_turned_upright(turned: int, size: tuple[int, int]) -> None:
    image = opened(prepared(photo(*size, turned=turned)))
    assert (image.width > image.height, max(image.size) <= LONGEST_SIDE) == (True, True)
    assert is_marked(image, image.width // 10, image.height // 10)
    assert not is_marked(image, image.width * 9 // 10, image.height * 9 // 10)


@pytest.mark.parametrize("turned", [1, 6])
@pytest.mark.parametrize("size", [(120, 80), (2100, 1400)])
def test_nothing_of_the_metadata_is_left(turned: int, size: tuple[int, int]) -> None:
    trailer = b"SECRETVIDEO after the end"  # as motion photos have
    made = prepared(photo(*size, turned=turned) + trailer)
    image = opened(made)
    assert b"SECRET" not in made.data
    assert not image.getexif()
    assert {"exif", "icc_profile", "comment", "xmp"} & set(image.info) == set()


def test_texts_and_positions_of_a_png_are_cut_out() -> None:
    exif = Image.Exif()
    exif[0x010F] = "SECRETCAMERA"
    given_ = saved(drawn(), "PNG", exif=exif)
    at = given_.index(b"IDAT") - 4
    given_ = given_[:at] + png_chunk(b"tEXt", b"Comment\x00SECRETTEXT") + given_[at:] + b"SECRETTRAILER"
    made = prepared(given_)
    assert b"SECRET" not in made.data
    assert opened(made).tobytes() == drawn().tobytes()


def test_a_png_is_turned_as_well() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = opened(prepared(saved(drawn().transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)))
    assert (image.size, is_marked(image, 10, 10)) == ((120, 80), True)


def test_a_webp_is_turned_as_well() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    image = opened(prepared(saved(drawn().transpose(Image.Transpose.ROTATE_180), "WEBP", exif=exif)))
    assert is_marked(image, 10, 10)


@pytest.mark.parametrize(
    ("mode", "picture_format"),
    [
        ("RGB", "PNG"), ("RGBA", "PNG"), ("P", "PNG"), ("L", "PNG"), ("LA", "PNG"), ("1", "PNG"),
        ("RGB", "JPEG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("RGB", "WEBP"), ("RGBA", "WEBP"), ("P", "GIF"), ("L", "GIF"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [(120, 80), (2400, 1600)])
def test_every_mode_of_every_format_is_taken(mode: str, picture_format: str, size: tuple[int, int]) -> None:
    image = opened(prepared(saved(drawn(*size, mode=mode), picture_format)))
    assert image.mode in {"L", "RGB", "P", "1"}
    assert max(image.size) == min(LONGEST_SIDE, size[0])
    light = image.convert("RGB").getpixel((image.width - 5, image.height - 5))
    assert min(light) > 240  # type: ignore[arg-type]  # three bands


def test_what_is_transparent_becomes_white() -> None:
    image = Image.new("RGBA", (50, 50), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (10, 10, 20, 20))
    with_palette = Image.new("P", (50, 50), 0)
    for given_ in (
        saved(image, "PNG"),
        saved(image, "WEBP", lossless=True),
        saved(with_palette, "PNG", transparency=0),
    ):
        made = opened(prepared(given_))
        assert min(made.convert("RGB").getpixel((40, 40))) > 245  # type: ignore[arg-type]  # three bands


def test_deep_grey_keeps_its_shades() -> None:
    for size in (100, 2100):
        shade = opened(prepared(saved(Image.new("I;16", (size, size), 0x8000), "PNG"))).getpixel((5, 5))
        assert shade == 0x8000 if size == 100 else abs(shade - 0x80) < 3  # type: ignore[operator]  # one band


def test_a_large_photo_is_scaled() -> None:
    sizes = {(4032, 3024): (2016, 1512), (2100, 100): (2048, 98), (100, 2100): (98, 2048), (3000, 1): (2048, 1)}
    for given_, expected in sizes.items():
        made = prepared(saved(Image.new("RGB", given_), "JPEG"))
        assert (made.width, made.height) == expected


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (60, 40), colour) for colour in ("red", "blue", "green")]
    for picture_format in ("GIF", "WEBP", "PNG"):
        animated = saved(frames[0], picture_format, save_all=True, append_images=frames[1:])
        image = opened(prepared(animated))
        assert getattr(image, "n_frames", 1) == 1
        red, _, blue = image.convert("RGB").getpixel((30, 20))  # type: ignore[misc]  # three bands
        assert (red > 200, blue < 60) == (True, True)


def test_a_gif_of_ten_thousand_frames_is_read_to_its_first() -> None:
    assert (prepared(gif_of_frames(10_000)).width, prepared(gif_of_frames(1)).width) == (1, 1)


def test_a_gif_with_more_before_its_first_frame_than_anybody_writes_is_refused() -> None:
    comments = b"\x21\xfe" + b"\x01a" * (MOST_GIF_BLOCKS + 1) + b"\x00"
    whole = gif_of_frames(1)
    with pytest.raises(PictureUnreadable):
        read_header(whole[:19] + comments + whole[19:])


@pytest.mark.parametrize(
    "data",
    [png_of(60_000, 60_000), webp_of(5000, 5000), png_of(6400, 6400), b"GIF89a" + b"\xff" * 4 + bytes(3) + b"\x2c" + bytes(9)],
    ids=["png", "webp", "png of 41 megapixels", "gif"],
)  # fmt: skip
def test_too_many_pixels_are_refused_by_the_header(data: bytes) -> None:
    with pytest.raises(PictureHasTooManyPixels):
        read_header(data)


def test_the_frame_of_a_gif_counts_and_not_its_screen_alone() -> None:
    whole = bytearray(gif_of_frames(1))
    frame = whole.index(0x2C)
    whole[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(PictureHasTooManyPixels):
        read_header(bytes(whole))


@pytest.mark.parametrize(
    ("data", "named"), [(heic(), "HEIC"), (avif(), "AVIF"), (PDF, "PDF"), (SVG, "SVG"), (ZIP, "ZIP")]
)
def test_other_formats_are_told_by_their_bytes(data: bytes, named: str) -> None:
    with pytest.raises(PictureFormatNotSupported) as refused:
        read_header(data)
    assert named in refused.value.detail
    assert ("Save it as JPEG" in refused.value.detail) is (named in {"HEIC", "AVIF"})


@pytest.mark.parametrize("data", [b"", b"\x00", b"hello", b"\xff\xd8", b"RIFF\x00\x00\x00\x00WAVE"])
def test_what_is_no_picture_is_not_supported(data: bytes) -> None:
    with pytest.raises(PictureFormatNotSupported):
        read_header(data)


SMALL = {
    "jpeg": photo(),
    "progressive": saved(drawn(), "JPEG", progressive=True),
    "png": saved(drawn(), "PNG"),
    "rgba": saved(drawn(mode="RGBA"), "PNG"),
    "gif": saved(drawn(), "GIF"),
    "webp": saved(drawn(), "WEBP"),
    "lossless": saved(drawn(mode="RGBA"), "WEBP", lossless=True),
}


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_picture_is_unreadable(kind: str, share: float) -> None:
    data = SMALL[kind]
    with pytest.raises(PictureProblem) as refused:
        prepared(data[: int(len(data) * share)])
    assert refused.value.status in {415, 422}


def test_pixels_that_are_damaged_are_unreadable() -> None:
    png = bytearray(SMALL["png"])
    png[png.index(b"IDAT") + 10] ^= 0xFF
    with pytest.raises(PictureUnreadable):
        prepared(bytes(png))


def test_a_jpeg_of_very_many_scans_is_refused() -> None:
    jpeg = saved(drawn(), "JPEG", progressive=True)
    begin = jpeg.rindex(b"\xff\xda")
    with pytest.raises(PictureUnreadable):
        read_header(jpeg[:-2] + jpeg[begin:-2] * 100 + b"\xff\xd9")


@given(st.sampled_from(sorted(SMALL)), st.data())
def test_a_changed_picture_is_taken_or_refused_and_never_breaks_us(kind: str, data: st.DataObject) -> None:
    changed = bytearray(SMALL[kind])
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, min(len(changed), 700) - 1))
        changed[at] = data.draw(st.integers(0, 255))
    try:
        made = prepared(bytes(changed))
    except PictureProblem:
        return
    assert b"SECRET" not in made.data


@given(st.binary(max_size=200))
def test_any_exif_has_an_orientation(exif: bytes) -> None:
    assert 1 <= orientation_of(b"II*\x00" + exif) <= 8


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_large_pictures_are_decoded_one_at_a_time_and_their_memory_is_given_back() -> None:
    kinds = [
        png_of(6300, 6300, bytes(6301 * 6300)),
        saved(Image.new("RGBA", (8000, 4900), (1, 2, 3, 4)), "PNG", compress_level=1),
        webp_of(4000, 4000),
        saved(Image.new("P", (8000, 4900)), "GIF"),
        saved(Image.new("RGB", (8000, 4900)), "JPEG", progressive=True, subsampling=0),
    ]
    decoders = PictureDecoders(wait_seconds=60)
    with ThreadPoolExecutor(8) as callers:
        made = callers.map(lambda data: decoders.prepare(read_header(data)), kinds * 2)
        assert {each.width for each in made} == {2000, 2048}
    said = [Path(f"/proc/{each}/status").read_text() for each in decoders.process_ids]
    peak, resident = (
        sum(int(re.findall(rf"{name}:\s*(\d+) kB", each)[0]) for each in said) // 1024 for name in ("VmHWM", "VmRSS")
    )
    decoders.close()
    assert (peak < 700, resident < 150) == (True, True), (peak, resident)


def test_a_decoder_that_dies_takes_one_picture_with_it() -> None:
    decoders = PictureDecoders()
    decoders.prepare(read_header(formula()))
    (process_id,) = decoders.process_ids
    os.kill(process_id, signal.SIGKILL)
    with pytest.raises(PictureUnreadable):
        decoders.prepare(read_header(formula()))
    assert decoders.prepare(read_header(formula())).format == "png"
    assert process_id not in decoders.process_ids
    decoders.close()


def test_a_decoder_that_is_late_is_ended() -> None:
    decoders = PictureDecoders(decode_seconds=1.0)
    decoders.prepare(read_header(formula()))
    (process_id,) = decoders.process_ids
    os.kill(process_id, signal.SIGSTOP)
    with pytest.raises(DecodersBusy):
        decoders.prepare(read_header(formula()))
    assert not psutil.pid_exists(process_id)
    assert decoders.prepare(read_header(formula())).format == "png"
    decoders.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_decoder_knows_no_secret_and_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET_KEY", "nothing for a decoder")
    decoders = PictureDecoders()
    decoders.prepare(read_header(formula()))
    (process_id,) = decoders.process_ids
    assert "JWT_SECRET_KEY" not in psutil.Process(process_id).environ()
    assert os.sched_getscheduler(process_id) == os.SCHED_IDLE
    assert {each.fd for each in psutil.Process(process_id).open_files()} == set()
    decoders.close()


def test_decoders_end_with_the_process_that_started_them() -> None:
    started = subprocess.run([sys.executable, "-c", DIES], cwd=ROOT, capture_output=True, text=True, check=False)
    assert started.returncode == -signal.SIGKILL
    process_id = int(started.stdout)
    with suppress(psutil.NoSuchProcess):
        psutil.Process(process_id).wait(10)
    assert not psutil.pid_exists(process_id)


DIES = """
import os, signal
from capabilities.solve.pictures.decoders import PictureDecoders
from capabilities.solve.pictures.read_header import read_header
from tests.capabilities.solve.made_pictures import formula
decoders = PictureDecoders()
decoders.prepare(read_header(formula()))
print(*decoders.process_ids, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_photos_of_twelve_megapixels_are_cheap_enough_to_be_decoded_at_once() -> None:
    made = prepared(saved(noise(4032, 3024), "JPEG", quality=90))
    assert (made.format, made.width, made.height) == ("jpeg", 2016, 1512)


@pytest.mark.parametrize(
    "said", [b"{}\n", b'{"lengths": [99999999999]}\n', b'{"lengths": [-1]}\n', b'{"lengths"' * 200]
)
def test_a_decoder_that_makes_no_sense_is_not_listened_to(said: bytes) -> None:
    with pytest.raises((ValueError, KeyError)):
        next(messages(BytesIO(said)))


def test_where_no_decoder_can_be_started_the_caller_may_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere")
    with pytest.raises(DecodersBusy):
        PictureDecoders().prepare(read_header(formula()))
