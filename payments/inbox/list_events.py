"""Events of providers, for operators, without their content."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson
from sqlalchemy import Row, Select, select

from database import reading
from database.pages import Page, newest_first, page_of
from payments.inbox.inbox import EventState
from payments.models import BillingEvent
from payments.subscriptions.status import Provider

COLUMNS = (
    BillingEvent.id,
    BillingEvent.provider,
    BillingEvent.external_id,
    BillingEvent.kind,
    BillingEvent.environment,
    BillingEvent.received_at,
    BillingEvent.state,
    BillingEvent.attempts,
    BillingEvent.next_attempt_at,
    BillingEvent.last_error,
    BillingEvent.settled_at,
)


@dataclass(frozen=True)
class ListedEvent:
    """`last_error`: the kind of the error of the last attempt, or why the event was ignored. `external_id` is the provider's."""

    id: UUID
    provider: str
    external_id: str
    kind: str
    environment: str | None
    received_at: datetime
    state: str
    attempts: int
    next_attempt_at: datetime
    last_error: str | None
    settled_at: datetime | None


@dataclass(frozen=True)
class Wanted:
    provider: Provider | None = None
    kind: str | None = None
    state: EventState | None = None
    external_id: str | None = None


def list_events(wanted: Wanted, *, cursor: UUID | None = None, limit: int) -> Page[ListedEvent]:
    """The newest first."""
    given = {name: value for name, value in vars(wanted).items() if value is not None}
    query: Select[*tuple[object, ...]] = select(*COLUMNS).filter_by(**given)
    if wanted.external_id is not None:  # the index begins with the provider
        query = query.where(BillingEvent.provider.in_(list(Provider)))
    with reading() as session:
        rows = session.execute(newest_first(query, BillingEvent.id, cursor, limit)).all()
    return page_of([_listed(row) for row in rows], limit)


def read_event(event_id: UUID) -> tuple[ListedEvent, str | None] | None:
    """The event, and what it is about: the id of Stripe's object. Apple's say that only to who reads their signed text."""
    with reading() as session:
        found = session.execute(select(*COLUMNS, BillingEvent.body).where(BillingEvent.id == event_id)).one_or_none()
    if found is None:
        return None
    *columns, body = found
    return ListedEvent(*columns), _names(body) if found.provider == Provider.STRIPE else None


def _listed(row: Row[*tuple[object, ...]]) -> ListedEvent:
    return ListedEvent(**row._mapping)


def _names(body: bytes) -> str | None:
    """payments/stripe/what_an_event_names.py keeps these and nothing that names a person."""
    named = orjson.loads(body)["data"]["object"]
    return str(named["id"]) if "id" in named else None
