"""Pictures as they came: decoded really, measured, and looked through for what should not be in them."""

import base64
import binascii
import io
import re
from dataclasses import dataclass
from hashlib import sha256

from PIL import Image, ImageOps, UnidentifiedImageError

from sandbox.ai_server.refusals import Path, WrongPicture

MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
DATA_URI = re.compile(r"data:(?P<media_type>[\w.+/-]+);base64,(?P<data>.*)", re.DOTALL)
GPS_TAG = 0x8825
ORIENTATION_TAG = 0x0112
FIRST_BYTES = 16


@dataclass(frozen=True)
class ReceivedPicture:
    """`has_metadata`: EXIF, XMP or a comment, anywhere in the bytes. `corners` are the colours at the four corners, clockwise
    from the top left, as a viewer shows the picture."""

    sha256: str
    size: int
    media_type: str
    format: str
    width: int
    height: int
    has_metadata: bool
    has_location: bool
    orientation: int
    first_bytes: str
    corners: tuple[str, ...]


@dataclass(frozen=True)
class PictureLimits:
    largest_bytes: int
    longest_side: int | None = None
    most_pixels: int | None = None


def picture_of_data_uri(url: str, limits: PictureLimits, path: Path) -> ReceivedPicture:
    """Raises WrongPicture, also for an address of the web: this stand-in fetches nothing."""
    found = DATA_URI.fullmatch(url)
    if found is None:
        raise WrongPicture(path, "address", url[:80])
    return received_picture(found["media_type"], found["data"], limits, path)


def received_picture(media_type: str, data: str, limits: PictureLimits, path: Path) -> ReceivedPicture:
    if media_type not in MEDIA_TYPES.values():
        raise WrongPicture(path, "media_type", media_type)
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise WrongPicture(path, "base64") from None
    if len(content) > limits.largest_bytes:
        raise WrongPicture(path, "size", str(len(content)))
    return looked_at(media_type, content, limits, path)


def looked_at(media_type: str, content: bytes, limits: PictureLimits, path: Path) -> ReceivedPicture:
    try:
        with Image.open(io.BytesIO(content), formats=tuple(MEDIA_TYPES)) as opened:
            width, height = opened.size
            too_long = limits.longest_side is not None and max(opened.size) > limits.longest_side
            if too_long or (limits.most_pixels is not None and width * height > limits.most_pixels):
                raise WrongPicture(path, "pixels", f"{width}x{height}")
            if getattr(opened, "is_animated", False):
                raise WrongPicture(path, "unreadable", "animated")
            kind = str(opened.format)
            opened.load()
            exif = opened.getexif()
            shown = ImageOps.exif_transpose(opened).convert("RGB")
            named = {"exif", "xmp", "comment", "XML:com.adobe.xmp", "Raw profile type exif"}
            has_metadata = bool(exif) or bool(named & opened.info.keys()) or b"Exif\x00\x00" in content
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise WrongPicture(path, "unreadable") from None
    if MEDIA_TYPES[kind] != media_type:
        raise WrongPicture(path, "media_type", f"{media_type} with the bytes of {MEDIA_TYPES[kind]}")
    right, bottom = shown.width - 1, shown.height - 1
    corners = (shown.getpixel(at) for at in ((0, 0), (right, 0), (right, bottom), (0, bottom)))
    return ReceivedPicture(
        sha256=sha256(content).hexdigest(),
        size=len(content),
        media_type=media_type,
        format=kind,
        width=width,
        height=height,
        has_metadata=has_metadata,
        has_location=bool(exif.get_ifd(GPS_TAG)),
        orientation=int(exif.get(ORIENTATION_TAG, 1)),
        first_bytes=content[:FIRST_BYTES].hex(),
        corners=tuple(colour(each) for each in corners),
    )


def colour(pixel: object) -> str:
    return "#" + "".join(f"{channel:02x}" for channel in pixel) if isinstance(pixel, tuple) else str(pixel)
