"""What a picture is, by its first bytes, before anything is decoded: its format, its size, and the part of it that is needed.

Nothing here allocates by what a file says of itself, and every loop is bounded.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from capabilities.solve.pictures.cut_metadata import Cut, Damaged, cut_jpeg, cut_png
from capabilities.solve.pictures.decoder.picture import MOST_PIXELS
from capabilities.solve.pictures.problems import PictureFormatNotSupported, PictureHasTooManyPixels, PictureUnreadable

MOST_PIXELS_OF_WEBP: Final = 16_000_000
"""Its decoder holds three copies of the whole picture, 15 bytes a pixel: 40 megapixels would take 600 MB."""
MOST_GIF_BLOCKS = 2_000
"""Before the first frame: half a megabyte of comments and profiles. Pillow reads them in Python, one by one."""

ISO_BRANDS: Final = {
    "HEIC": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"),
    "AVIF": (b"avif", b"avis"),
}
"""ISO/IEC 23008-12, annex B, and the AVIF specification, 7."""
OTHERS: Final = {
    b"%PDF": "PDF",
    b"PK\x03\x04": "ZIP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"BM": "BMP",
    b"<svg": "SVG",
    b"<?xm": "SVG",
}


class Format(StrEnum):
    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"
    GIF = "gif"


@dataclass(frozen=True)
class Header:
    """`width` and `height` as stored, before the picture is turned upright. `data`: the picture without the metadata that could
    be cut out. `exif` is where it says how the picture must be turned. `may_stay`: a provider can have `data` as it is, if it
    can be decoded and need not be changed.
    """

    format: Format
    width: int
    height: int
    data: bytes
    exif: bytes = b""
    may_stay: bool = False


def read_header(data: bytes) -> Header:
    """Raises PictureFormatNotSupported, PictureUnreadable, PictureHasTooManyPixels."""
    try:
        header = _header(data)
    except (Damaged, IndexError):
        raise PictureUnreadable from None
    most = MOST_PIXELS_OF_WEBP if header.format is Format.WEBP else MOST_PIXELS
    if header.width * header.height > most:
        raise PictureHasTooManyPixels(most)
    if not header.width or not header.height:
        raise PictureUnreadable
    return header


def _header(data: bytes) -> Header:
    if data.startswith(b"\xff\xd8\xff"):
        return _of_cut(Format.JPEG, cut_jpeg(data))
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _of_cut(Format.PNG, cut_png(data))
    if data.startswith((b"GIF87a", b"GIF89a")):
        return Header(Format.GIF, *_size_of_gif(data), data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return Header(Format.WEBP, *_size_of_webp(data), data)
    raise _not_supported(data)


def _of_cut(picture_format: Format, cut: Cut) -> Header:
    return Header(picture_format, cut.width, cut.height, cut.data, cut.exif, cut.may_stay)


def _size_of_gif(data: bytes) -> tuple[int, int]:
    """The screen with the first frame in it (GIF89a, 18 to 24)."""
    width, height, flags = _little(data, 6, 2), _little(data, 8, 2), data[10]
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    in_extension = False
    for _ in range(MOST_GIF_BLOCKS):
        if in_extension:
            in_extension = data[at] != 0
            at += 1 + data[at]
        elif data[at] == 0x21:
            in_extension = True
            at += 2
        elif data[at] == 0x2C:
            left, top = _little(data, at + 1, 2), _little(data, at + 3, 2)
            return max(width, left + _little(data, at + 5, 2)), max(height, top + _little(data, at + 7, 2))
        else:
            break
    raise Damaged


def _size_of_webp(data: bytes) -> tuple[int, int]:
    """The canvas (RFC 9649, 2.5 to 2.7)."""
    chunk = data[12:16]
    if chunk == b"VP8X":
        return _little(data, 24, 3) + 1, _little(data, 27, 3) + 1
    if chunk == b"VP8L" and data[20] == 0x2F:
        bits = _little(data, 21, 4)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        return _little(data, 26, 2) & 0x3FFF, _little(data, 28, 2) & 0x3FFF
    raise Damaged


def _not_supported(data: bytes) -> PictureFormatNotSupported:
    if data[4:8] == b"ftyp":
        brands = [data[8:12], *(data[at : at + 4] for at in range(16, min(len(data), _big(data, 0, 4), 256), 4))]
        for name in ("AVIF", "HEIC"):
            if set(brands) & set(ISO_BRANDS[name]):
                return PictureFormatNotSupported(
                    f"This is a {name} picture. Save it as JPEG or PNG. On an iPhone, choose Settings, Camera, Formats, "
                    "Most Compatible, and take it again"
                )
    start = data.lstrip(b"\xef\xbb\xbf\t\n\r ")[:4]
    named = next((f"This is a {name} file. " for begin, name in OTHERS.items() if start.startswith(begin)), "")
    return PictureFormatNotSupported(f"{named}Send the picture as JPEG, PNG, WebP or GIF")


def _little(data: bytes, at: int, size: int) -> int:
    """Raises IndexError beyond the end."""
    data[at + size - 1]
    return int.from_bytes(data[at : at + size], "little")


def _big(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")
