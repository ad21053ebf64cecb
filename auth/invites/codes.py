"""What is stored of invite codes."""

import hmac

from auth.tokens.typed_code import read_code


class InviteCodes:
    """Turns a code, however it was typed, into what is stored of it."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def hash_of(self, code: str) -> bytes:
        return hmac.digest(self._key, read_code(code).encode(), "sha256")
