"""The API keys of a user, as they are shown: never their tokens."""

from collections.abc import Container
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, literal, or_, select, tuple_

from auth.api_keys.bodies import KeyAnswer, key_answer
from auth.models import ApiKey
from database import reading
from database.pages import Page, page_of
from security.api.cursor import ListQuery


def list_api_keys(user_id: UUID, scopes: Container[str], now: datetime, asked: ListQuery) -> Page[KeyAnswer]:
    """Those that live, then those that ended within the last month, each from the newest to the oldest."""
    query = select(ApiKey).where(ApiKey.user_id == user_id)
    with reading() as session:
        if asked.cursor is not None:
            # A key that is not there any more had ended.
            last = select(is_live(now)).where(ApiKey.user_id == user_id, ApiKey.id == asked.cursor)
            place = tuple_(literal(session.scalars(last).one_or_none() or False), literal(asked.cursor))
            query = query.where(tuple_(is_live(now), ApiKey.id) < place)
        found = session.scalars(query.order_by(is_live(now).desc(), ApiKey.id.desc()).limit(asked.limit + 1))
        return page_of([key_answer(key, scopes, now) for key in found], asked.limit)


def is_live(now: datetime) -> ColumnElement[bool]:
    return and_(ApiKey.revoked_at.is_(None), or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now))
