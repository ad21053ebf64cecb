"""How a picture must be turned to stand upright, as its camera wrote it down (Exif 3.0, 4.6.5.1.6)."""

from typing import Final, Literal

UPRIGHT: Final = 1
ORIENTATION: Final = 0x0112
SHORT: Final = 3
MOST_ENTRIES = 512
ByteOrder = Literal["little", "big"]


def orientation_of(exif: bytes) -> int:
    """1 to 8. What cannot be read says nothing, so the picture is taken to be upright."""
    exif = exif.removeprefix(b"Exif\x00\x00")
    orders: dict[bytes, ByteOrder] = {b"II*\x00": "little", b"MM\x00*": "big"}
    order = orders.get(exif[:4])
    if order is None:
        return UPRIGHT

    def number(at: int, size: int) -> int:
        return int.from_bytes(exif[at : at + size], order)

    directory = number(4, 4)
    for entry in range(min(number(directory, 2), MOST_ENTRIES)):
        at = directory + 2 + 12 * entry
        if number(at, 2) == ORIENTATION and number(at + 2, 2) == SHORT:
            found = number(at + 8, 2)
            return found if 1 <= found <= 8 else UPRIGHT
    return UPRIGHT
