"""Reading API keys, newest first: never their tokens, which are not stored."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from admin.listed import Listed
from auth.api_keys.bodies import KeyState
from auth.api_keys.list import is_live
from auth.models import ApiKey, User
from database import reading
from database.pages import Page, newest_first, page_of


@dataclass(frozen=True)
class KeyFilter:
    """`start` is what a token begins with, as it is shown: `tok_` and the first characters."""

    user_id: UUID | None = None
    state: KeyState | None = None
    start: str | None = None


def list_keys(wanted: KeyFilter, now: datetime, cursor: UUID | None, limit: int) -> Page[Listed[ApiKey]]:
    query = select(ApiKey, User.email).join(User, User.id == ApiKey.user_id)
    if wanted.user_id is not None:
        query = query.where(ApiKey.user_id == wanted.user_id)
    if wanted.start is not None:
        query = query.where(ApiKey.start == wanted.start)
    if wanted.state is KeyState.LIVE:
        query = query.where(is_live(now))
    elif wanted.state is KeyState.REVOKED:
        query = query.where(ApiKey.revoked_at.is_not(None))
    elif wanted.state is KeyState.EXPIRED:
        query = query.where(ApiKey.revoked_at.is_(None), ApiKey.expires_at <= now)
    with reading() as session:
        found = session.execute(newest_first(query, ApiKey.id, cursor, limit)).all()
    return page_of([Listed(key.id, key, email) for key, email in found], limit)


def read_key(key_id: UUID) -> Listed[ApiKey] | None:
    query = select(ApiKey, User.email).join(User, User.id == ApiKey.user_id).where(ApiKey.id == key_id)
    with reading() as session:
        row = session.execute(query).one_or_none()
    return None if row is None else Listed(row[0].id, row[0], row[1])
