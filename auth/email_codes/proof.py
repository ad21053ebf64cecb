"""Proving that one reads an address: with the link of an e-mail, or with its six digits and the address it went to."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from auth.account_change import AccountChange, Refused
from auth.audit.record import record
from auth.email_address import EmailAddress
from auth.email_codes.models import OneTimeCode
from auth.email_codes.one_time_codes import OneTimeCodeNotValid, OneTimeCodes, Purpose
from auth.models import AuthSession, User

MOST_CHANGES_TO_ONE_ADDRESS = 5
"""One address gets no more than five such e-mails an hour (rate_limits/by_mailbox.py), so whoever asked last is among them."""
WAYS_BACK = frozenset({Purpose.RESET_PASSWORD, Purpose.UNDO_EMAIL_CHANGE})
"""What helps the owner of an account that is closed or disabled. Neither enables it."""


@dataclass(frozen=True)
class LinkProof:
    token: str


@dataclass(frozen=True)
class CodeProof:
    email: EmailAddress
    code: str


EmailProof = LinkProof | CodeProof


def spend_proof(
    codes: OneTimeCodes, change: AccountChange, purpose: Purpose, proof: EmailProof
) -> tuple[User, OneTimeCode]:
    """Spend what an e-mail held. Whose it is, with the row locked, and the code. Raises Refused with OneTimeCodeNotValid.

    The user's row is locked before the code's, as where codes are begun, so that no two commands wait for each other.
    Whether there is such an account makes no difference in what is asked and written, so the time says nothing of it.
    """
    session, now = change.session, change.now
    for user_id in _owners(codes, session, purpose, proof, now):
        user = change.hold(User.id == user_id)
        if isinstance(proof, LinkProof):
            spent = codes.spend_link(session, purpose, proof.token, now)
        else:
            spent = codes.spend_digits(session, purpose, user_id, proof.code, now)
        if user is not None and spent is not None and _still_counts(session, purpose, user, spent, now):
            return user, spent
        record(session, "one_time_code_refused", now, user_id=user.id if user else None, purpose=purpose.value)
    raise Refused(OneTimeCodeNotValid())


def _owners(codes: OneTimeCodes, session: Session, purpose: Purpose, proof: EmailProof, now: datetime) -> list[UUID]:
    """Whose code it may be. For digits of an address that no account has, an id that nobody has."""
    if isinstance(proof, LinkProof):
        found = codes.find_link(session, purpose, proof.token, now)
        return [] if found is None else [found.user_id]
    if purpose is Purpose.CHANGE_EMAIL:
        # Several accounts may want to move to one address; the one whose e-mail was read gets it.
        wanting = select(OneTimeCode.user_id).where(
            OneTimeCode.purpose == purpose,
            OneTimeCode.used_at.is_(None),
            OneTimeCode.code_expires_at > now,
            func.lower(OneTimeCode.email) == proof.email.key,
        )
        query = wanting.order_by(OneTimeCode.created_at.desc()).limit(MOST_CHANGES_TO_ONE_ADDRESS)
    else:
        query = select(User.id).where(User.email_key == proof.email.key)
    # Sorted, so that two who lock the rows of several users do not wait for each other.
    return sorted(session.scalars(query)) or [uuid4()]


def _still_counts(session: Session, purpose: Purpose, user: User, spent: OneTimeCode, now: datetime) -> bool:
    """An account that is disabled is only taken back, and a change of address ends with the session that asked for it."""
    if not user.is_active and purpose not in WAYS_BACK:
        return False
    if purpose is not Purpose.CHANGE_EMAIL:
        return True
    asking = select(AuthSession.id).where(AuthSession.id == spent.session_id, AuthSession.revoked_at.is_(None))
    living = asking.where(AuthSession.idle_expires_at > now, AuthSession.expires_at > now)
    return session.scalars(living).one_or_none() is not None
