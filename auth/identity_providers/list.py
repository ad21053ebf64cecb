"""The accounts at Apple and Google that sign in to one's own."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from auth.models import Identity
from database import reading
from database.pages import Page, newest_first, page_of


@dataclass(frozen=True)
class LinkedIdentity:
    id: UUID
    provider: str
    linked_at: datetime


def list_identities(user_id: UUID, *, cursor: UUID | None, limit: int) -> Page[LinkedIdentity]:
    """The newest first."""
    query = select(Identity).where(Identity.user_id == user_id)
    with reading() as session:
        rows = session.scalars(newest_first(query, Identity.id, cursor, limit))
        return page_of([shown(row) for row in rows], limit)


def shown(row: Identity) -> LinkedIdentity:
    return LinkedIdentity(row.id, row.provider, row.created_at)
