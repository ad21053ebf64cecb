"""How passwords are stored and compared: bcrypt or Argon2id over a keyed pre-hash.

A stored password reads `mo2$<pepper>$<hash>`, where the input of bcrypt or Argon2id is
base64(HMAC-SHA-256(pepper, NFKC(password))), and <pepper> is `p1` for the operator's, `0` where none was set.
The pre-hash is 44 ASCII bytes. bcrypt 5 raises above 72 bytes, and older versions cut there in silence; a keyed pre-hash
also cannot be looked up in stolen lists of plain SHA-256 values (OWASP password storage cheat sheet, "pre-hashing").
Rows that are bare bcrypt (`$2b$…`) come from earlier systems and are replaced at the next sign-in, as are those of the hasher
that is not the current one.
"""

import base64
import hmac
import re
import secrets
import string
import unicodedata
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import bcrypt

from auth.password_hashing.argon2_hash import FORM as ARGON2_FORM
from auth.password_hashing.argon2_hash import argon2_hash, argon2_hash_of_nobody, argon2_matches
from auth.password_hashing.worker_pool import PasswordWork
from security.logs.log import security_event

SCHEME = "mo2"
MAXIMUM_CHARACTERS = 256
MAXIMUM_BYTES = 1024
BCRYPT_BYTES = 72
LEAST_COST = 4
PEPPERED, UNPEPPERED = "p1", "0"
NO_PEPPER = b"mirroros password pre-hash, no pepper configured"
BCRYPT_FORM = re.compile(r"\$2[abxy]\$(0[4-9]|1[0-6])\$[./A-Za-z0-9]{53}")
BCRYPT_ALPHABET = "./" + string.ascii_uppercase + string.ascii_lowercase + string.digits


class PasswordNotUsable(ValueError):
    """The text can be nobody's password: too long, or with characters that not every device would type alike."""


Hasher = Literal["bcrypt", "argon2id"]


@dataclass(frozen=True)
class Verdict:
    matches: bool
    outdated: bool
    """It matches, and should be stored anew: earlier scheme, other hasher or cost, or from before there was a pepper."""


@dataclass(frozen=True)
class _Typed:
    """What was typed, in the form that `hashed` was made of. `cost` is bcrypt's; None for Argon2id."""

    candidate: bytes
    hashed: bytes
    cost: int | None
    current_pepper: bool


def prepared(password: str) -> str:
    """The form that is hashed: NFKC, so that an accent typed on two systems is one password. Raises PasswordNotUsable."""
    if len(password) > MAXIMUM_CHARACTERS:
        raise PasswordNotUsable(f"Use at most {MAXIMUM_CHARACTERS} characters.")
    if any(character == "\0" or unicodedata.category(character) in {"Cn", "Cs"} for character in password):
        raise PasswordNotUsable("The password contains a character that cannot be used.")
    if len(password.encode()) > MAXIMUM_BYTES:
        raise PasswordNotUsable(f"The password is too long: use at most {MAXIMUM_BYTES} bytes.")
    return unicodedata.normalize("NFKC", password)


class Passwords:
    """Hashes by `hasher`, and compares with hashes of both. Without a `pepper`, hashes that were made with one do not match."""

    def __init__(
        self, work: PasswordWork, *, cost: int, pepper: bytes | None = None, hasher: Hasher = "bcrypt"
    ) -> None:
        self._work = work
        self._cost = cost
        self._hasher = hasher
        # Once a process has met an Argon2id hash, each comparison costs both: the time must not tell which one a row has, nor
        # whether there is a row.
        self._has_argon2 = hasher == "argon2id"
        self._argon2_of_nobody = argon2_hash_of_nobody()
        self._keys = {UNPEPPERED: NO_PEPPER} if pepper is None else {UNPEPPERED: NO_PEPPER, PEPPERED: pepper}
        self._current = UNPEPPERED if pepper is None else PEPPERED
        self._nobody = {each: _hash_of_nobody(each) for each in range(LEAST_COST, cost + 1)}

    def slot(self, *, known_device: bool = False) -> AbstractContextManager[None]:
        """For the block, hashing and comparing need not wait. Raises PasswordWorkBusy."""
        return self._work.slot(known_device=known_device)

    def hash(self, password: str) -> str:
        """Raises PasswordNotUsable, PasswordWorkBusy."""
        return self._work.run(lambda: self._hash(password))

    def verify(self, password: str, stored: str | None) -> Verdict:
        """Compare. Takes as long for a user that does not exist (None) as for one that does.

        Raises PasswordWorkBusy. Text that cannot be a password, and a stored value that cannot be read, do not match.
        """
        return self._work.run(lambda: self._verify(password, stored))

    def _hash(self, password: str) -> str:
        content = self._prehash(password, self._current)
        by_argon2 = self._hasher == "argon2id"
        hashed = argon2_hash(content) if by_argon2 else bcrypt.hashpw(content, bcrypt.gensalt(self._cost))
        return f"{SCHEME}${self._current}${hashed.decode()}"

    def _verify(self, password: str, stored: str | None) -> Verdict:
        try:
            typed = self._inputs(password, stored)
        except PasswordNotUsable:
            typed = None
        by_argon2 = typed is not None and typed.cost is None
        self._has_argon2 = self._has_argon2 or by_argon2
        matches = self._bcrypt_matches(None if by_argon2 else typed)
        if self._has_argon2:
            matches |= self._argon2_matches(typed if by_argon2 else None)
        if typed is None or not matches:
            return Verdict(matches=False, outdated=False)
        cost = None if self._hasher == "argon2id" else self._cost
        return Verdict(matches, outdated=not (typed.current_pepper and typed.cost == cost))

    def _bcrypt_matches(self, typed: _Typed | None) -> bool:
        if typed is None or typed.cost is None:
            bcrypt.checkpw(b"nobody", self._nobody[self._cost])
            return False
        # A cheaper row answers sooner, which would tell that the account exists. Each cost is twice the work of the one
        # before, so one check at the row's cost and at each above it, below ours, is exactly what is missing.
        for each in range(typed.cost, self._cost):
            bcrypt.checkpw(b"nobody", self._nobody[each])
        return bcrypt.checkpw(typed.candidate, typed.hashed)

    def _argon2_matches(self, typed: _Typed | None) -> bool:
        if typed is None:
            argon2_matches(b"nobody", self._argon2_of_nobody)
            return False
        return argon2_matches(typed.candidate, typed.hashed)

    def _inputs(self, password: str, stored: str | None) -> _Typed | None:
        """None: nothing to compare."""
        if stored is None:
            return None
        scheme, _, rest = stored.partition("$")
        key_id, _, hashed = rest.partition("$") if scheme == SCHEME else ("", "", stored)
        form = BCRYPT_FORM.fullmatch(hashed)
        is_argon2 = scheme == SCHEME and ARGON2_FORM.fullmatch(hashed) is not None
        if not (form or is_argon2) or (scheme == SCHEME and key_id not in self._keys):
            security_event("stored_password_unreadable")
            return None
        if scheme == SCHEME:
            candidate = self._prehash(password, key_id)
        else:
            prepared(password)
            candidate = password.encode()[:BCRYPT_BYTES]
        return _Typed(candidate, hashed.encode(), int(form[1]) if form else None, key_id == self._current)

    def _prehash(self, password: str, key_id: str) -> bytes:
        digest = hmac.digest(self._keys[key_id], prepared(password).encode(), "sha256")
        return base64.b64encode(digest)


def _hash_of_nobody(cost: int) -> bytes:
    """A well-formed hash that no password has, made without the work of hashing one."""
    digest = "".join(secrets.choice(BCRYPT_ALPHABET) for _ in range(31))
    return bcrypt.gensalt(cost) + digest.encode()
