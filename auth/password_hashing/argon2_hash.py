"""Argon2id: 19 MiB, two passes, one lane, as the OWASP password storage cheat sheet has it.

RFC 9106, 4, would take 64 MiB and four lanes. As many hashes run at once as worker_pool.py has threads, in every web process, so
that memory is what is counted here. The library is imported by the first hash: most deployments have none.
"""

import re
import secrets

PASSES, KIBIBYTES, LANES = 2, 19_456, 1
SALT_BYTES, HASH_BYTES = 16, 32  # RFC 9106, 4
FORM = re.compile(rf"\$argon2id\$v=19\$m={KIBIBYTES},t={PASSES},p={LANES}\$[A-Za-z0-9+/]{{22}}\$[A-Za-z0-9+/]{{43}}")
"""A row never says how much memory it takes: another figure is not ours."""


def argon2_hash(content: bytes) -> bytes:
    from argon2.low_level import Type, hash_secret  # noqa: PLC0415

    salt = secrets.token_bytes(SALT_BYTES)
    return hash_secret(content, salt, PASSES, KIBIBYTES, LANES, HASH_BYTES, Type.ID)


def argon2_matches(content: bytes, hashed: bytes) -> bool:
    from argon2.exceptions import VerificationError  # noqa: PLC0415
    from argon2.low_level import Type, verify_secret  # noqa: PLC0415

    try:
        return verify_secret(hashed, content, Type.ID)
    except VerificationError:
        return False


def argon2_hash_of_nobody() -> bytes:
    """A well-formed hash that no password has, made without the work of hashing one."""
    salt, digest = "A" * 22, secrets.token_urlsafe(HASH_BYTES).replace("-", "+").replace("_", "/")
    return f"$argon2id$v=19$m={KIBIBYTES},t={PASSES},p={LANES}${salt}${digest[:42]}A".encode()
