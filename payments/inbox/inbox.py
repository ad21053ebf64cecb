"""The inbox of events: what a provider tells us is stored once, answered at once, and applied by a job.

An event is stored in the transaction that also enqueues its job. What it does and that it is done are one transaction
too, so it may be tried any number of times and happens once. One that fails waits longer each time, and ends as dead,
where `flask payments events --dead` shows it and `flask payments replay` starts it anew.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, TypeVar
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, select, text, true, update
from sqlalchemy.orm import Session

from database import reading, transaction
from database.base import Clock, uuid7
from database.batch import work_through
from database.jobs.declare import Job, JobName, Urgency, enqueue_job
from payments.billing.counts import count
from payments.inbox.metrics import EVENTS, RECEIVED
from payments.inbox.store import APPLY_EVENT, ArrivedEvent, EventWriter, store_event
from payments.models import BillingEvent
from payments.subscriptions.grant_tier import Announce, StateChange, announce_change
from payments.subscriptions.status import Provider

Finding = TypeVar("Finding")

CLAIMED_FOR = timedelta(minutes=5)
"""A worker that died leaves its event claimed for so long."""
MOST_ATTEMPTS = 12
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=15), timedelta(hours=6)

# The jobs are listed once, not looked for event by event: there is no index for that, and a backlog may be long.
DUE = text("""
    WITH waiting AS MATERIALIZED (
        SELECT args->>'event_id' AS event_id FROM procrastinate_jobs
        WHERE task_name = :job AND status IN ('todo', 'doing')
    )
    SELECT id FROM billing_events
    WHERE state = 'received' AND next_attempt_at <= :now
        AND NOT EXISTS (SELECT 1 FROM waiting WHERE waiting.event_id = billing_events.id::text)
    ORDER BY next_attempt_at
""")


class EventState(StrEnum):
    RECEIVED = "received"
    DONE = "done"
    IGNORED = "ignored"
    """It is none of our business, and will not become it."""
    DEAD = "dead"


@dataclass(frozen=True)
class StoredEvent:
    id: UUID
    provider: str
    external_id: str
    kind: str
    environment: str | None
    body: bytes


@dataclass(frozen=True)
class Applied:
    """What came of an event. `note` says why it was ignored."""

    state: EventState = EventState.DONE
    change: StateChange | None = None
    note: str | None = None


@dataclass(frozen=True)
class EventHandler(Generic[Finding]):
    """One provider's half: the handler finds out, the inbox writes.

    `find` says what an event means, as a plain value. It runs outside of any transaction and may ask the provider; any error
    means: try again later. `write` is the only one that writes, in the transaction that marks the event as done. It calls no
    other server.
    """

    find: Callable[[StoredEvent], Finding]
    write: Callable[[Session, datetime, Finding], Applied]


@dataclass(frozen=True)
class EventInbox:
    handlers: Mapping[Provider, EventHandler[Any]]
    writer: EventWriter
    announce: Announce
    clock: Clock

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Failures are repeated by the sweeper, which knows how long each event has to wait."""
        return (
            Job(APPLY_EVENT, lambda event_id: self.apply(UUID(event_id)), retries=0),
            Job(JobName("sweep_billing_events", Urgency.PAYMENTS), self.sweep, cron="* * * * *"),
        )

    def store(
        self, *, provider: Provider, external_id: str, kind: str, environment: str | None, body: bytes
    ) -> UUID | None:
        """Keep the event and enqueue its job. None when it is known already. The signature has been verified before.

        It is durable when this returns; call it outside of any transaction. Raises DependencyUnavailable.
        """
        now = self.clock()
        event = ArrivedEvent(uuid7(), provider, external_id, kind, environment, body, now, now + CLAIMED_FOR)
        is_new = store_event(self.writer, event)
        RECEIVED.labels(provider.value, "stored" if is_new else "known").inc()
        return event.id if is_new else None

    def apply(self, event_id: UUID) -> int:
        """1 when the event was applied by this call. Never raises for an event that fails: that is written down."""
        event = self._claim(event_id)
        if event is None:
            return 0
        try:
            handler = self.handlers[Provider(event.provider)]
            finding = handler.find(event)
            with transaction() as session:
                row = self._still_open(session, event.id)
                if row is None:
                    return 0
                applied = handler.write(session, self.clock(), finding)
                row.state, row.settled_at, row.last_error = applied.state, self.clock(), applied.note
        except Exception as error:
            self._note_failure(event, error)
            return 0
        EVENTS.labels(event.provider, "applied").inc()
        announce_change(self.announce, applied.change)
        return 1

    def sweep(self) -> int:
        """Enqueue what is due again: events that failed, and events whose worker died. What has a job that waits is left alone,
        or a backlog would grow by itself.
        """
        with reading() as session:
            due = session.scalars(DUE, {"job": APPLY_EVENT, "now": self.clock()}).all()
        return work_through("sweep_billing_events", due, self._enqueue_again)

    def replay(self, event_ids: Iterable[UUID]) -> int:
        """Start events anew, whatever became of them. Returns how many there were."""
        return work_through("replay_billing_events", event_ids, self._start_anew)

    def start_anew(self, session: Session, event_id: UUID) -> bool:
        """The same for one, in the caller's transaction. False when there is no such event."""
        return self._enqueue(
            session,
            event_id,
            true(),
            state=EventState.RECEIVED,
            attempts=0,
            last_error=None,
            settled_at=None,
            next_attempt_at=self.clock() + CLAIMED_FOR,
        )

    def _enqueue_again(self, event_id: UUID) -> int:
        now = self.clock()
        still_due = (BillingEvent.state == EventState.RECEIVED) & (BillingEvent.next_attempt_at <= now)
        with transaction() as session:
            return int(self._enqueue(session, event_id, still_due, next_attempt_at=now + CLAIMED_FOR))

    def _start_anew(self, event_id: UUID) -> int:
        with transaction() as session:
            return int(self.start_anew(session, event_id))

    def _enqueue(self, session: Session, event_id: UUID, wanted: ColumnElement[bool], **values: object) -> bool:
        """Whether the event is there and as it is wanted."""
        found = session.execute(
            update(BillingEvent).where(BillingEvent.id == event_id, wanted).values(**values).returning(BillingEvent.id)
        )
        if found.first() is None:
            return False
        enqueue_job(session, APPLY_EVENT, event_id=str(event_id))
        return True

    def _claim(self, event_id: UUID) -> StoredEvent | None:
        """Counts the attempt before it is made, so that an event that kills its worker does not do so for ever."""
        with transaction() as session:
            row = session.scalars(
                update(BillingEvent)
                .where(BillingEvent.id == event_id, BillingEvent.state == EventState.RECEIVED)
                .values(attempts=BillingEvent.attempts + 1, next_attempt_at=self.clock() + CLAIMED_FOR)
                .returning(BillingEvent)
            ).one_or_none()
            if row is None:
                return None
            return StoredEvent(row.id, row.provider, row.external_id, row.kind, row.environment, row.body)

    def _still_open(self, session: Session, event_id: UUID) -> BillingEvent | None:
        """The event's row, locked: of two workers with the same event, the second finds it done."""
        query = select(BillingEvent).where(BillingEvent.id == event_id, BillingEvent.state == EventState.RECEIVED)
        return session.scalars(query.with_for_update()).one_or_none()

    def _note_failure(self, event: StoredEvent, error: Exception) -> None:
        """Keeps the kind of the error alone: its text may quote the event."""
        now = self.clock()
        with transaction() as session:
            row = self._still_open(session, event.id)
            if row is None:
                return
            row.last_error = type(error).__name__
            row.next_attempt_at = now + wait_after(row.attempts)
            if row.attempts >= MOST_ATTEMPTS:
                row.state = EventState.DEAD
            dead = row.state == EventState.DEAD
            if dead:
                count(session, dead_of(event.provider), now)
        EVENTS.labels(event.provider, "dead" if dead else "failed").inc()
        structlog.get_logger().error(
            "billing_event_dead" if dead else "billing_event_failed",
            event_id=str(event.id),
            provider=event.provider,
            kind=event.kind,
            reason=type(error).__name__,
        )


def dead_of(provider: str) -> str:
    """What an event that is given up is counted as."""
    return f"dead:{provider}"


def wait_after(attempts: int) -> timedelta:
    """15 seconds, a minute, 4 minutes ... six hours."""
    factor: int = 4 ** min(attempts - 1, 10)
    return min(FIRST_WAIT * factor, LONGEST_WAIT)
