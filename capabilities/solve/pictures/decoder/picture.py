"""A picture on its way to a decoder and back."""

from dataclasses import dataclass, field
from typing import Final

MOST_PIXELS: Final = 40_000_000


@dataclass(frozen=True)
class Picture:
    """`format` is png, jpeg, webp or gif. `data`: without the metadata that could be cut out. `exif` is where it says how it must be
    turned. `may_stay`: a provider can have `data` as it is, if it can be decoded and need not be changed.
    """

    format: str
    may_stay: bool
    exif: bytes = field(repr=False)
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Prepared:
    """Upright, of a bounded size, without metadata. `format` is png or jpeg."""

    format: str
    width: int
    height: int
    data: bytes = field(repr=False)

    @property
    def media_type(self) -> str:
        return f"image/{self.format}"
