"""The text of API keys: `tok_`, 43 random base62 characters (256 bits), and a checksum of everything before.

The prefix and the checksum let scanners find a key in a repository, and let us refuse a mistyped one without a query:
`tok_[0-9A-Za-z]{49}`.
"""

import re
import secrets

from auth.tokens.opaque import BASE62, CHECKSUM_LENGTH, checksum

PREFIX = "tok_"
RANDOM_CHARACTERS = 43
START_LENGTH = 12
FORM = re.compile(rf"tok_[0-9A-Za-z]{{{RANDOM_CHARACTERS + CHECKSUM_LENGTH}}}")


def new_token() -> str:
    unsigned = PREFIX + "".join(secrets.choice(BASE62) for _ in range(RANDOM_CHARACTERS))
    return unsigned + checksum(unsigned)


def is_well_formed(token: str) -> bool:
    return FORM.fullmatch(token) is not None and checksum(token[:-CHECKSUM_LENGTH]) == token[-CHECKSUM_LENGTH:]
