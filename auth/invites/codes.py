"""What is stored of invite codes."""

from auth.tokens.typed_code import read_code
from security.keyed_digest import keyed_digest


class InviteCodes:
    """Turns a code, however it was typed, into what is stored of it."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def hash_of(self, code: str) -> bytes:
        return keyed_digest(self._key, read_code(code).encode())
