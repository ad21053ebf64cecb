"""What tokens without meaning share: an alphabet, the checksum at their end, and what is stored of them."""

import hashlib
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


def token_hash(token: str) -> bytes:
    """What is stored: 256 bits of randomness need no slow hash (OWASP ASVS 5, 6.5.2)."""
    return hashlib.sha256(token.encode()).digest()
