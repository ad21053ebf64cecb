"""The Apple and Google accounts that can sign in to an account."""

from uuid import UUID

from sqlalchemy import select

from auth.identity_providers.bodies import IdentityAnswer
from auth.models import Identity
from database import reading
from database.pages import Page, newest_first, page_of
from security.api.cursor import ListQuery


def list_identities(user_id: UUID, asked: ListQuery) -> Page[IdentityAnswer]:
    """The newest first."""
    query = select(Identity).where(Identity.user_id == user_id)
    with reading() as session:
        rows = session.scalars(newest_first(query, Identity.id, asked.cursor, asked.limit))
        return page_of([IdentityAnswer.model_validate(row, from_attributes=True) for row in rows], asked.limit)
