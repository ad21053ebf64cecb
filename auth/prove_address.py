"""Proving that one reads an address: with the link of a letter, or with its six digits and the address it went to."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from auth.audit import record
from auth.email_address import EmailAddress
from auth.models import User
from auth.one_time_codes import OneTimeCodes, Purpose, Taken
from auth.one_time_models import OneTimeCode

MOST_CHANGES_TO_ONE_ADDRESS = 5


@dataclass(frozen=True)
class LinkProof:
    token: str


@dataclass(frozen=True)
class CodeProof:
    email: EmailAddress
    code: str


Proof = LinkProof | CodeProof


@dataclass(frozen=True)
class Proven:
    """The proof was good and is spent. The user's row is locked until the transaction ends."""

    user: User
    taken: Taken


def take_proof(codes: OneTimeCodes, session: Session, purpose: Purpose, proof: Proof, now: datetime) -> Proven | None:
    """Spend what a letter held. None is written down too: commit it, and only then say OneTimeCodeNotValid.

    The user's row is locked before the code's, as where codes are begun, so that no two commands wait for each other.
    Whether there is such an account makes no difference in what is asked and written, so the time says nothing of it.
    """
    for user_id in _owners(codes, session, purpose, proof, now):
        user = session.get(User, user_id, with_for_update=True, populate_existing=True)
        if isinstance(proof, LinkProof):
            taken = codes.take_link(session, purpose, proof.token, now)
        else:
            taken = codes.take_digits(session, purpose, user_id, proof.code, now)
        if user is not None and taken is not None:
            return Proven(user, taken)
        record(session, "one_time_code_refused", now, user_id=user.id if user else None, purpose=purpose.value)
    return None


def _owners(codes: OneTimeCodes, session: Session, purpose: Purpose, proof: Proof, now: datetime) -> list[UUID]:
    """Whose code it may be. For digits of an address that no account has, an id that nobody has."""
    if isinstance(proof, LinkProof):
        found = codes.find_link(session, purpose, proof.token, now)
        return [] if found is None else [found.user_id]
    if purpose is Purpose.CHANGE_EMAIL:
        # Several accounts may want to move to one address; the one whose letter was read gets it.
        wanting = select(OneTimeCode.user_id).where(
            OneTimeCode.purpose == purpose,
            OneTimeCode.used_at.is_(None),
            func.lower(OneTimeCode.email) == proof.email.key,
        )
        query = wanting.order_by(OneTimeCode.user_id).limit(MOST_CHANGES_TO_ONE_ADDRESS)
    else:
        query = select(User.id).where(User.email_key == proof.email.key)
    return list(session.scalars(query)) or [uuid4()]
