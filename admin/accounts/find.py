"""Finding accounts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from admin.listed import Listed
from auth.email_address import EmailAddressNotAcceptable, parse_email
from auth.models import User
from auth.principal import Role
from auth.tiers import Tier
from database import reading
from database.pages import Page, newest_first, page_of
from security.api.typed_text import trimmed


@dataclass(frozen=True)
class AccountFilter:
    """Which accounts are listed. `tier` is the one that was given last, also when it has run out since."""

    user_id: UUID | None = None
    tier: Tier | None = None
    role: Role | None = None
    disabled: bool = False
    unverified: bool = False


def account_named(text: str) -> UUID | None:
    """The account of an e-mail address or an id, as somebody typed or pasted it. Never of a part: nobody leafs through accounts
    with it. An id is taken as it is, for what outlives its account.
    """
    typed = trimmed(text)
    try:
        return UUID(typed)
    except ValueError:
        pass
    try:
        key = parse_email(typed).key
    except EmailAddressNotAcceptable:
        return None
    with reading() as session:
        return session.scalars(select(User.id).where(User.email_key == key)).one_or_none()


def list_accounts(wanted: AccountFilter, cursor: UUID | None, limit: int) -> Page[Listed[User]]:
    """The newest first."""
    query = select(User)
    if wanted.user_id is not None:
        query = query.where(User.id == wanted.user_id)
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


def addresses_of(user_ids: Collection[UUID]) -> Mapping[UUID, str]:
    """The e-mail addresses of those that are still there."""
    if not user_ids:
        return {}
    with reading() as session:
        found = session.execute(select(User.id, User.email).where(User.id.in_(user_ids)))
        return {row.id: row.email for row in found}
