"""The API keys of a user, as they are shown: never their tokens."""

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ColumnElement, and_, literal, select, tuple_

from auth.assembly import Auth
from auth.models import ApiKey
from database import reading
from database.pages import Page, page_of


class KeyState(StrEnum):
    LIVE = "live"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True)
class KeyShown:
    id: UUID
    start: str
    name: str
    state: KeyState
    scopes: tuple[str, ...]
    """Those that count here; a key may be stored with others, of capabilities that are off."""
    allowed_networks: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    last_used_ip: str | None
    replaced_by: UUID | None


def list_api_keys(auth: Auth, user_id: UUID, *, cursor: UUID | None, limit: int) -> Page[KeyShown]:
    """Those that live, then those that ended within the last month, each from the newest to the oldest."""
    now = auth.clock()
    query = select(ApiKey).where(ApiKey.user_id == user_id)
    with reading() as session:
        if cursor is not None:
            # A key that is not there any more had ended.
            last = select(is_live(now)).where(ApiKey.user_id == user_id, ApiKey.id == cursor)
            place = tuple_(literal(session.scalars(last).one_or_none() or False), literal(cursor))
            query = query.where(tuple_(is_live(now), ApiKey.id) < place)
        found = session.scalars(query.order_by(is_live(now).desc(), ApiKey.id.desc()).limit(limit + 1))
        return page_of([shown(key, auth.scopes, now) for key in found], limit)


def is_live(now: datetime) -> ColumnElement[bool]:
    return and_(ApiKey.revoked_at.is_(None), ApiKey.expires_at > now)


def shown(key: ApiKey, scopes: Container[str], now: datetime) -> KeyShown:
    state = KeyState.EXPIRED if key.expires_at <= now else KeyState.LIVE
    return KeyShown(
        id=key.id,
        start=key.start,
        name=key.name,
        state=state if key.revoked_at is None else KeyState.REVOKED,
        scopes=tuple(name for name in key.scopes if name in scopes),
        allowed_networks=tuple(key.allowed_networks),
        created_at=key.created_at,
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
        last_used_ip=key.last_used_ip,
        replaced_by=key.replaced_by_id,
    )
