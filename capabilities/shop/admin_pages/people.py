"""Who is who on the pages of the shop."""

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth.models import User


def addresses_of(session: Session, user_ids: Collection[UUID | None]) -> Mapping[UUID, str]:
    """The e-mail addresses of those that are still there."""
    sought = {each for each in user_ids if each is not None}
    if not sought:
        return {}
    found = session.execute(select(User.id, User.email).where(User.id.in_(sought)))
    return {row.id: row.email for row in found}
