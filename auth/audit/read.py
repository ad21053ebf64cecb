"""Reading the audit log, newest first, page by page."""

from uuid import UUID

from sqlalchemy import ColumnElement, select, tuple_

from auth.audit.bodies import AnyEvent, EventsQuery
from auth.audit.models import SecurityEvent
from database import reading
from database.pages import Page, page_of


def read_events(wanted: EventsQuery, user_id: UUID | None, actor_id: UUID | None = None) -> Page[AnyEvent]:
    """Of that account, or of all. `actor_id`: only what this member of the staff did."""
    conditions: list[ColumnElement[bool]] = []
    if actor_id is not None:
        conditions.append(SecurityEvent.actor_id == actor_id)
    if user_id is not None:
        conditions.append(SecurityEvent.user_id == user_id)
    # Where the last page ended is looked up under the same user, so another's event is no place to start from.
    last = select(SecurityEvent.occurred_at, SecurityEvent.id).where(SecurityEvent.id == wanted.cursor, *conditions)
    if wanted.event is not None:
        conditions.append(SecurityEvent.event == wanted.event)
    if wanted.since is not None:
        conditions.append(SecurityEvent.occurred_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(SecurityEvent.occurred_at < wanted.until)
    with reading() as session:
        if wanted.cursor is not None:
            place = session.execute(last).one_or_none()
            if place is None:
                return Page([], None)  # it was deleted for its age, and so was all that was older
            conditions.append(tuple_(SecurityEvent.occurred_at, SecurityEvent.id) < tuple_(*place))
        rows = session.execute(
            select(SecurityEvent.__table__)
            .where(*conditions)
            .order_by(SecurityEvent.occurred_at.desc(), SecurityEvent.id.desc())
            .limit(wanted.limit + 1)
        ).all()
    return page_of([AnyEvent(**row._mapping) for row in rows], wanted.limit)
