"""The alphabet of our tokens, and the checksum at their end."""

import zlib

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CHECKSUM_LENGTH = 6


def checksum(text: str) -> str:
    """CRC32 as six base62 characters. It lets a mistyped token be refused without a query."""
    number = zlib.crc32(text.encode())
    characters = ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(BASE62))
        characters = BASE62[digit] + characters
    return characters
