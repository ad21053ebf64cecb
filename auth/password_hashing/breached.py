"""Looking a password up in an operator's own copy of a breach list, without reading the list into memory.

The file is that of "Pwned Passwords, ordered by hash" (haveibeenpwned.com): lines of `SHA1:count` in upper-case hexadecimal,
sorted. A file of bare hashes will do.
"""

import hashlib
import mmap
from pathlib import Path

HASH_CHARACTERS = 40
LONGEST_LINE = 64


class PwnedPasswordsUnusable(ValueError):
    """The file cannot be read or does not begin with a hash. Raised at start-up."""


class PwnedPasswords:
    """One file, mapped into memory; the kernel keeps the pages that are used."""

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                self._content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            int(self._content[:HASH_CHARACTERS], 16)
        except (OSError, ValueError) as error:
            raise PwnedPasswordsUnusable(f"{path} is no list of SHA-1 hashes in hexadecimal") from error

    def __contains__(self, password: object) -> bool:
        if not isinstance(password, str):
            return False
        wanted = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper().encode()
        low, high = 0, len(self._content)
        while low < high:
            middle = (low + high) // 2
            start = self._content.rfind(b"\n", max(0, middle - LONGEST_LINE), middle) + 1
            found = self._content[start : start + HASH_CHARACTERS].upper()
            if found == wanted:
                return True
            if found < wanted:
                end = self._content.find(b"\n", middle)
                low = high if end < 0 else end + 1
            else:
                high = start
        return False
