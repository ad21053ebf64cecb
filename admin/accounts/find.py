"""Finding accounts."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, false, select

from admin.listed import Listed
from auth.email_address import EmailAddressNotAcceptable, parse_email
from auth.models import User
from auth.principal import Role
from auth.tiers import Tier
from database import reading
from database.pages import Page, newest_first, page_of


@dataclass(frozen=True)
class AccountFilter:
    """Which accounts are listed. `tier` is the one that was given last, also when it has run out since."""

    tier: Tier | None = None
    role: Role | None = None
    disabled: bool = False
    unverified: bool = False


def find_account(text: str) -> UUID | None:
    """By e-mail address or by id, as somebody typed or pasted it. Never by a part: nobody leafs through accounts with it."""
    with reading() as session:
        return session.scalars(select(User.id).where(_named(text))).one_or_none()


def _named(text: str) -> ColumnElement[bool]:
    try:
        return User.id == UUID(text)
    except ValueError:
        pass
    try:
        return User.email_key == parse_email(text).key
    except EmailAddressNotAcceptable:
        return false()


def list_accounts(wanted: AccountFilter, cursor: UUID | None, limit: int) -> Page[Listed[User]]:
    """The newest first."""
    query = select(User)
    if wanted.tier is not None:
        query = query.where(User.tier == wanted.tier)
    if wanted.role is not None:
        query = query.where(User.role == wanted.role)
    if wanted.disabled:
        query = query.where(~User.is_active)
    if wanted.unverified:
        query = query.where(~User.is_verified)
    with reading() as session:
        found = session.scalars(newest_first(query, User.id, cursor, limit)).all()
    return page_of([Listed(row.id, row, row.email) for row in found], limit)
