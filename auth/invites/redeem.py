"""Who may make an account: everybody, whoever has an invite code, or nobody.

A registration that needs a code is judged twice. First without spending anything, before the password is hashed and before
the address is looked up, so that a wrong code gets one answer whether or not the address has an account. Then the use is
taken in the transaction that makes the account; of many at once, as many succeed as there are uses. An address that has an
account already spends none.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.orm import Session

from auth.assembly import Auth
from auth.invites.models import Invite
from database import reading
from security.edge.client_address import client_address
from security.edge.problems import Problem, TooManyRequests

WRONG_CODES = "wrong_invite_codes"


class InviteNotValid(Problem):
    """Missing, unknown, run out, used up or revoked: one answer for all."""

    status, error, title = 400, "invite_not_valid", "Enter a valid invite code to create an account"


class RegistrationClosed(Problem):
    status, error, title = 403, "registration_closed", "You cannot create an account at the moment"


def registration_problems(auth: Auth) -> tuple[type[Problem], ...]:
    """What a route that makes accounts can answer because of the mode."""
    mode = auth.settings.registration_mode
    if mode == "invite":
        return (InviteNotValid, TooManyRequests)
    return (RegistrationClosed,) if mode == "closed" else ()


def check_invite(auth: Auth, code: str | None) -> bytes | None:
    """What `redeem_invite` has to be given; None where no code is needed. Spends nothing.

    Raises RegistrationClosed, InviteNotValid, and TooManyRequests for an address that guesses.
    """
    if auth.settings.registration_mode == "closed":
        raise RegistrationClosed
    if auth.settings.registration_mode == "open":
        return None
    limit, address = auth.settings.limits.wrong_invite_codes, client_address()
    auth.address_limits.check(limit, WRONG_CODES, address)
    if code is not None:
        code_hash = auth.invite_codes.hash_of(code)
        with reading() as session:
            good = select(Invite.id).where(Invite.code_hash == code_hash, is_good(auth.clock()))
            if session.scalars(good).one_or_none() is not None:
                return code_hash
    auth.address_limits.count(limit, WRONG_CODES, address)
    raise InviteNotValid


def redeem_invite(auth: Auth, session: Session, code_hash: bytes | None, now: datetime) -> dict[str, Any]:
    """Take one use, with the account that the session's transaction makes. Returns what its event in the log says of it.

    Raises InviteNotValid when others took the last use meanwhile, and RegistrationClosed.
    """
    if auth.settings.registration_mode == "closed":
        raise RegistrationClosed
    if auth.settings.registration_mode == "open":
        return {}
    invite: UUID | None = session.execute(
        update(Invite)
        .where(Invite.code_hash == code_hash, is_good(now))
        .values(uses=Invite.uses + 1)
        .returning(Invite.id)
    ).scalar_one_or_none()
    if invite is None:
        raise InviteNotValid
    return {"invite_id": str(invite)}


def is_good(now: datetime) -> ColumnElement[bool]:
    return and_(Invite.revoked_at.is_(None), Invite.expires_at > now, Invite.uses < Invite.max_uses)
