"""Pictures of every kind, good and bad. The bad ones are small files: what they cost is in what they say of themselves."""

import zlib
from io import BytesIO
from random import Random
from typing import Any

from PIL import Image, ImageDraw

GPS_IFD, GPS_LATITUDE, GPS_REF, ORIENTATION, MAKE = 0x8825, 2, 1, 0x0112, 0x010F
MARK = (220, 20, 20)
"""The colour of the upper left corner of an upright `photo`."""


def saved(image: Image.Image, picture_format: str, **options: Any) -> bytes:
    written = BytesIO()
    image.save(written, picture_format, **options)
    return written.getvalue()


def drawn(width: int = 120, height: int = 80, mode: str = "RGB") -> Image.Image:
    """White, with a red corner at the upper left."""
    image = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(image).rectangle((0, 0, width // 3, height // 3), fill=MARK)
    return image.convert(mode)


def formula(text: str = "2 + 2 = ?") -> bytes:
    image = Image.new("L", (160, 40), 255)
    ImageDraw.Draw(image).text((10, 10), text, fill=0)
    return saved(image, "PNG")


def photo(width: int = 120, height: int = 80, *, turned: int = 1, gps: bool = True) -> bytes:
    """A JPEG as cameras write it: where it was taken, and how it must be turned to be upright."""
    exif = Image.Exif()
    exif[MAKE] = "SECRETCAMERA"
    exif[ORIENTATION] = turned
    if gps:
        exif[GPS_IFD] = {GPS_REF: "N", GPS_LATITUDE: (48.0, 51.0, 29.6)}
    image = drawn(width, height)
    back = {6: Image.Transpose.ROTATE_90, 3: Image.Transpose.ROTATE_180, 8: Image.Transpose.ROTATE_270}
    if turned in back:
        image = image.transpose(back[turned])
    return saved(image, "JPEG", quality=90, exif=exif, comment=b"SECRETCOMMENT", icc_profile=b"SECRETPROFILE" * 20)


def noise(width: int, height: int, seed: int = 1) -> Image.Image:
    """A photo has about as much to compress."""
    small = Image.frombytes("RGB", (width // 8, height // 8), Random(seed).randbytes(width // 8 * (height // 8) * 3))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def png_of(width: int, height: int, content: bytes = b"") -> bytes:
    """It says that it is so large, and holds next to nothing."""
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((8, 0, 0, 0, 0))
    pixels = zlib.compress(content or bytes(1000))
    chunks = png_chunk(b"IHDR", head) + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def gif_of_frames(frames: int) -> bytes:
    one = b"\x2c" + bytes(4) + b"\x01\x00\x01\x00\x00" + b"\x02\x02\x4c\x01\x00"
    return b"GIF89a\x01\x00\x01\x00\x80\x00\x00" + bytes(3) + b"\xff\xff\xff" + one * frames + b"\x3b"


def webp_of(width: int, height: int) -> bytes:
    """Lossless, all of one colour: 34 bytes for 16 megapixels."""
    return saved(Image.new("RGB", (width, height)), "WEBP", lossless=True, method=0)


def heic() -> bytes:
    return b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(64)


def avif() -> bytes:
    return b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1avifmiaf" + bytes(64)


SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>'
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n"
ZIP = b"PK\x03\x04" + bytes(60)
