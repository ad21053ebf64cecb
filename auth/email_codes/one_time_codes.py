"""One-time codes that prove that somebody reads an address: a link for the same device, six digits for another one.

Both are computed from the row's id and a key, so nothing that opens an account is stored, and an e-mail that is sent twice
after a crash says the same. A user has one open code for each purpose: asking again voids the one before.
"""

import hashlib
import hmac
import re
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from auth.email_address import EmailAddress
from auth.email_codes.models import OneTimeCode
from security.base64url import base64url, bytes_of_base64url
from security.edge.problems import Problem

PREFIX = "ot_"
MAC_BYTES = 32
LINK_FORM = re.compile(r"ot_[A-Za-z0-9_-]{64}")
LONGEST_LINK_TOKEN = 67
CODE_DIGITS = 6
CODE_TRIES = 5
CODE_LIFETIME = timedelta(minutes=10)  # OWASP ASVS 5, 6.5.5


class OneTimeCodeNotValid(Problem):
    """Used, run out, tried too often, void or never given: one answer for all."""

    status, error, title = 400, "token_invalid", "This link or code is wrong or has expired. Request a new one"


class Purpose(StrEnum):
    VERIFY_EMAIL = "verify_email"
    RESET_PASSWORD = "reset_password"  # noqa: S105
    CHANGE_EMAIL = "change_email"
    UNDO_EMAIL_CHANGE = "undo_email_change"


LINK_LIFETIMES = {
    Purpose.VERIFY_EMAIL: timedelta(hours=24),
    Purpose.RESET_PASSWORD: timedelta(minutes=30),
    Purpose.CHANGE_EMAIL: timedelta(hours=1),
    Purpose.UNDO_EMAIL_CHANGE: timedelta(days=7),
}


class OneTimeCodes:
    """Begins and takes codes in the caller's transaction."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def link_token(self, code_id: UUID, purpose: Purpose) -> str:
        content = code_id.bytes + self._mac("link", code_id, purpose)
        return PREFIX + base64url(content)

    def digits(self, code_id: UUID, purpose: Purpose) -> str:
        number = int.from_bytes(self._mac("digits", code_id, purpose)[:16], "big")
        return f"{number % 10**CODE_DIGITS:0{CODE_DIGITS}}"

    def begin(
        self,
        session: Session,
        user_id: UUID,
        purpose: Purpose,
        email: str,
        now: datetime,
        *,
        session_id: UUID | None = None,
    ) -> UUID:
        """Returns the id that the e-mail is made from. The caller holds the user's row, so that one code is open at most.

        Only of undoing a change of address there may be several, one for each address that was left: whoever takes an
        account over could else void the owner's by changing the address twice.
        """
        if purpose is not Purpose.UNDO_EMAIL_CHANGE:
            self.void(session, user_id, purpose)
        row = OneTimeCode(
            user_id=user_id,
            purpose=purpose,
            email=email,
            session_id=session_id,
            created_at=now,
            link_expires_at=now + LINK_LIFETIMES[purpose],
            code_expires_at=now + CODE_LIFETIME,
        )
        session.add(row)
        session.flush()
        return row.id

    def void(self, session: Session, user_id: UUID, purpose: Purpose, *, but_of: UUID | None = None) -> None:
        """Open codes of this purpose are worth nothing any more, but for those that the session `but_of` asked for.

        The caller holds the user's row.
        """
        query = delete(OneTimeCode).where(OneTimeCode.user_id == user_id, OneTimeCode.purpose == purpose)
        query = query.where(OneTimeCode.used_at.is_(None))
        if but_of is not None:
            query = query.where(OneTimeCode.session_id.is_distinct_from(but_of))
        session.execute(query)

    def find_link(self, session: Session, purpose: Purpose, token: str, now: datetime) -> OneTimeCode | None:
        """What `spend_link` would take now. Spends nothing."""
        code_id = self._read_link(purpose, token)
        if code_id is None:
            return None
        query = select(OneTimeCode).where(OneTimeCode.id == code_id, OneTimeCode.purpose == purpose)
        query = query.where(OneTimeCode.used_at.is_(None), OneTimeCode.link_expires_at > now)
        return session.scalars(query).one_or_none()

    def spend_link(self, session: Session, purpose: Purpose, token: str, now: datetime) -> OneTimeCode | None:
        """Spend the code of a link; of several at once, one succeeds."""
        code_id = self._read_link(purpose, token)
        if code_id is None:
            return None
        return self._spend(session, purpose, code_id, now, OneTimeCode.link_expires_at > now)

    def _read_link(self, purpose: Purpose, token: str) -> UUID | None:
        """The id in a token that we made for this purpose."""
        if LINK_FORM.fullmatch(token) is None:
            return None
        content = bytes_of_base64url(token.removeprefix(PREFIX))
        code_id = UUID(bytes=content[:16])
        genuine = hmac.compare_digest(content[16:], self._mac("link", code_id, purpose))
        return code_id if genuine else None

    def spend_digits(
        self, session: Session, purpose: Purpose, user_id: UUID, digits: str, now: datetime
    ) -> OneTimeCode | None:
        """Count a try, then spend the code if the digits are right.

        The count must be committed when they are wrong too: raise only after the transaction.
        """
        tried = session.execute(
            update(OneTimeCode)
            .where(OneTimeCode.user_id == user_id, OneTimeCode.purpose == purpose, OneTimeCode.used_at.is_(None))
            .where(OneTimeCode.tries < CODE_TRIES, OneTimeCode.code_expires_at > now)
            .values(tries=OneTimeCode.tries + 1)
            .returning(OneTimeCode.id)
        ).scalar_one_or_none()
        if tried is None or not hmac.compare_digest(digits.encode(), self.digits(tried, purpose).encode()):
            return None
        return self._spend(session, purpose, tried, now, OneTimeCode.code_expires_at > now)

    def is_open(self, session: Session, code_id: UUID, now: datetime) -> bool:
        """Whether an e-mail about it is still worth sending."""
        query = select(OneTimeCode.id).where(OneTimeCode.id == code_id, OneTimeCode.used_at.is_(None))
        return session.scalars(query.where(OneTimeCode.link_expires_at > now)).one_or_none() is not None

    def may_be_returned_to(self, session: Session, email: EmailAddress, now: datetime) -> bool:
        """Whether an account left this address within the last days and can still come back to it."""
        query = select(OneTimeCode.id).where(func.lower(OneTimeCode.email) == email.key, OneTimeCode.used_at.is_(None))
        query = query.where(OneTimeCode.purpose == Purpose.UNDO_EMAIL_CHANGE, OneTimeCode.link_expires_at > now)
        return session.scalars(query.limit(1)).one_or_none() is not None

    def _spend(
        self, session: Session, purpose: Purpose, code_id: UUID, now: datetime, lives: ColumnElement[bool]
    ) -> OneTimeCode | None:
        return session.scalars(
            update(OneTimeCode)
            .where(OneTimeCode.id == code_id, OneTimeCode.purpose == purpose, OneTimeCode.used_at.is_(None), lives)
            .values(used_at=now)
            .returning(OneTimeCode)
        ).one_or_none()

    def _mac(self, form: str, code_id: UUID, purpose: Purpose) -> bytes:
        return hmac.digest(self._key, f"{form}|{purpose}|{code_id}".encode(), hashlib.sha256)[:MAC_BYTES]
