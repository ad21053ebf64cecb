"""Make of a picture what a provider gets. This is the one module that knows Pillow."""

from io import BytesIO
from typing import Final

from PIL import Image

from .orientation import UPRIGHT, orientation_of
from .picture import MOST_PIXELS, Picture, Prepared

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
Image.core.set_block_size(64 * 1024 * 1024)  # type: ignore[attr-defined]
"""Of a picture's memory. The C library gives back at once what is larger than 32 MiB, and may keep what is smaller."""


def prepare(picture: Picture) -> Prepared:
    """Takes up to a second of one core. Raises whatever a decoder raises for a damaged file."""
    with Image.open(BytesIO(picture.data), formats=(picture.format.upper(),)) as image:
        if image.width * image.height > MOST_PIXELS:
            raise ValueError("It is larger than its header said")
        orientation = orientation_of(picture.exif or image.info.get("exif") or b"")
        fits = max(image.size) <= LONGEST_SIDE and len(picture.data) <= LARGEST_KEPT
        if picture.may_stay and orientation == UPRIGHT and fits:
            return _checked(picture, image)
        return _made_anew(image, orientation)


def _checked(picture: Picture, image: Image.Image) -> Prepared:
    """A JPEG is read to its end at an eighth of its size, which costs a quarter of the whole."""
    width, height = image.size
    image.draft(None, (max(1, width // 8), max(1, height // 8)))
    image.load()
    return Prepared(picture.format, width, height, picture.data)


def _made_anew(image: Image.Image, orientation: int) -> Prepared:
    reduction = max(image.size) // SHORTEST_DRAFT
    if reduction > 1:
        image.draft(None, (image.width // reduction, image.height // reduction))
    made = _opaque(_smaller(image))
    if orientation in TURNS:
        made = made.transpose(TURNS[orientation])
    written = BytesIO()
    made.save(written, "JPEG", quality=QUALITY, subsampling=0)
    return Prepared("jpeg", made.width, made.height, written.getvalue())


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
