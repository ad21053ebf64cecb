"""Make of a picture what a provider gets. This is the one module that knows Pillow; it is imported with the first picture."""

from dataclasses import dataclass
from io import BytesIO
from typing import Final

import structlog
from PIL import Image

from capabilities.solve.pictures.orientation import UPRIGHT, orientation_of
from capabilities.solve.pictures.problems import PictureHasTooManyPixels, PictureProblem, PictureUnreadable
from capabilities.solve.pictures.read_header import MOST_PIXELS, Format, Header

LONGEST_SIDE: Final = 2048
SHORTEST_DRAFT: Final = 1792
"""A JPEG is decoded at a half, a quarter or an eighth of its size as long as it stays as long as this: a camera's 4,032 pixels
become 2,016, which nobody needs to scale."""
LARGEST_KEPT: Final = 4 * 2**20
"""Bytes. As a JPEG even the largest picture that is sent on is smaller."""
QUALITY: Final = 85
DEEP_GREY: Final = "I;16"

TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
Image.MAX_IMAGE_PIXELS = MOST_PIXELS
"""A second net: what is larger was refused by its header."""
Image.core.set_block_size(64 * 1024 * 1024)  # type: ignore[attr-defined]
"""Of a picture's memory. The C library gives back at once what is larger than 32 MiB, and may keep what is smaller."""


@dataclass(frozen=True)
class Prepared:
    """`format` is PNG or JPEG."""

    format: Format
    width: int
    height: int
    data: bytes

    @property
    def media_type(self) -> str:
        return f"image/{self.format}"


def prepare(header: Header) -> Prepared:
    """Raises PictureUnreadable, PictureHasTooManyPixels. Takes up to a second of one core; most of it without the
    interpreter's lock.
    """
    try:
        with Image.open(BytesIO(header.data), formats=(header.format.upper(),)) as image:
            _require_bounded(image)
            orientation = orientation_of(header.exif or image.info.get("exif") or b"")
            fits = max(image.size) <= LONGEST_SIDE and len(header.data) <= LARGEST_KEPT
            if header.may_stay and orientation == UPRIGHT and fits:
                return _checked(header, image)
            return _made_anew(image, orientation)
    except PictureProblem:
        raise
    except Exception as error:  # a decoder may raise anything for a file that was made to break it
        structlog.get_logger().info("picture_unreadable", format=header.format.value, cause=type(error).__name__)
        raise PictureUnreadable from None


def _require_bounded(image: Image.Image) -> None:
    if image.width * image.height > MOST_PIXELS:
        raise PictureHasTooManyPixels(MOST_PIXELS)


def _checked(header: Header, image: Image.Image) -> Prepared:
    """A JPEG is read to its end at an eighth of its size, which costs a quarter of the whole."""
    width, height = image.size
    image.draft(None, (max(1, width // 8), max(1, height // 8)))
    image.load()
    return Prepared(header.format, width, height, header.data)


def _made_anew(image: Image.Image, orientation: int) -> Prepared:
    reduction = max(image.size) // SHORTEST_DRAFT
    if reduction > 1:
        image.draft(None, (image.width // reduction, image.height // reduction))
    made = _opaque(_smaller(image))
    if orientation in TURNS:
        made = made.transpose(TURNS[orientation])
    written = BytesIO()
    made.save(written, "JPEG", quality=QUALITY, subsampling=0)
    return Prepared(Format.JPEG, made.width, made.height, written.getvalue())


def _smaller(image: Image.Image) -> Image.Image:
    """At most LONGEST_SIDE. Whole reductions come first, for they need no second copy of a large picture."""
    if max(image.size) <= LONGEST_SIDE:
        return image
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    scale = LONGEST_SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=None if image.mode == DEEP_GREY else 2.0)


def _opaque(image: Image.Image) -> Image.Image:
    """Grey or colours, on white where it was transparent: formulas are often drawn in black on nothing."""
    if image.mode in {"LA", "PA", "RGBA"} or "transparency" in image.info:
        drawn = image.convert("RGBA")
        white = Image.new("RGB", drawn.size, "white")
        white.paste(drawn, mask=drawn.getchannel("A"))
        return white
    if image.mode in {"1", DEEP_GREY}:
        return _grey(image)
    return image if image.mode in {"L", "RGB"} else image.convert("RGB")


def _grey(image: Image.Image) -> Image.Image:
    """Of 16 bits the upper eight: `convert` would make white of all above 255."""
    if image.mode == DEEP_GREY:
        image = image.convert("I").point(lambda value: value * (1 / 256))
    return image.convert("L")
