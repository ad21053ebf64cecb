"""The Apple and Google accounts that can sign in to an account."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from auth.models import Identity
from database import reading


@dataclass(frozen=True)
class LinkedIdentity:
    id: UUID
    provider: str
    linked_at: datetime


def list_identities(user_id: UUID) -> list[LinkedIdentity]:
    """The oldest first."""
    query = select(Identity).where(Identity.user_id == user_id).order_by(Identity.created_at, Identity.id)
    with reading() as session:
        return [shown(row) for row in session.scalars(query)]


def shown(row: Identity) -> LinkedIdentity:
    return LinkedIdentity(row.id, row.provider, row.created_at)
