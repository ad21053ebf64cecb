"""Refresh tokens. They are computed from a session's row and a key, and stored nowhere.

`rt_` base64url(version | session id | generation | HMAC-SHA-256(key, "rt1" | session id | generation | salt)) checksum

Neither the database alone nor the key alone gives a token, and the successor of a token can be handed out a second time
when the first answer was lost. The checksum (CRC32 in base62) lets a mistyped token be refused without a query.
"""

import hmac
import re
import struct
from dataclasses import dataclass
from uuid import UUID

from auth.tokens.opaque import CHECKSUM_LENGTH, checksum
from security.base64url import base64url, bytes_of_base64url
from security.edge.problems import Unauthorized

PREFIX = "rt_"
VERSION = 1
LAYOUT = struct.Struct(">B16sI32s")
ENCODED_LENGTH = 71
LONGEST_TOKEN = len(PREFIX) + ENCODED_LENGTH + CHECKSUM_LENGTH
LARGEST_GENERATION = 2**31 - 1  # PostgreSQL's integer
FORM = re.compile(rf"rt_[A-Za-z0-9_-]{{{ENCODED_LENGTH}}}[0-9A-Za-z]{{{CHECKSUM_LENGTH}}}")


class RefreshTokenNotValid(Unauthorized):
    """Unknown, spent, run out or revoked: one answer for all. The error code is that of RFC 6749, 5.2."""

    error, title = "invalid_grant", "The refresh token is not valid. Sign in again"


@dataclass(frozen=True)
class PresentedToken:
    """What a well-formed token claims. Nothing is proved until `RefreshTokens.is_genuine` was asked."""

    session_id: UUID
    generation: int
    mac: bytes


class RefreshTokens:
    def __init__(self, key: bytes) -> None:
        self._key = key

    def issue(self, session_id: UUID, generation: int, salt: bytes) -> str:
        mac = self._mac(session_id, generation, salt)
        packed = LAYOUT.pack(VERSION, session_id.bytes, generation, mac)
        start = PREFIX + base64url(packed)
        return start + checksum(start)

    def is_genuine(self, presented: PresentedToken, salt: bytes) -> bool:
        return hmac.compare_digest(presented.mac, self._mac(presented.session_id, presented.generation, salt))

    def _mac(self, session_id: UUID, generation: int, salt: bytes) -> bytes:
        message = b"rt1" + session_id.bytes + struct.pack(">I", generation) + salt
        return hmac.digest(self._key, message, "sha256")


def read_refresh_token(text: str) -> PresentedToken | None:
    """None for text that cannot be a refresh token."""
    if FORM.fullmatch(text) is None or checksum(text[:-CHECKSUM_LENGTH]) != text[-CHECKSUM_LENGTH:]:
        return None
    try:
        packed = bytes_of_base64url(text[len(PREFIX) : -CHECKSUM_LENGTH])
    except ValueError:
        return None
    version, session_id, generation, mac = LAYOUT.unpack(packed)
    if version != VERSION or generation > LARGEST_GENERATION:
        return None
    return PresentedToken(UUID(bytes=session_id), generation, mac)
