"""The inbox of events: what a provider tells us is stored once, answered at once, and applied by a job.

An event is stored in the transaction that also enqueues its job. What it does and that it is done are one transaction
too, so it may be tried any number of times and happens once. One that fails waits longer each time, and ends as dead,
where `flask payments events --dead` shows it and `flask payments replay` starts it anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from database import transaction
from database.base import Clock, uuid7
from database.jobs import Job, enqueue_job
from payments.grant_tier import StateChange
from payments.hand_over_tiers import Announce
from payments.models import BillingEvent
from payments.store_event import APPLY_EVENT, ArrivedEvent, EventWriter, store_event
from payments.subscription_status import Provider

CLAIMED_FOR = timedelta(minutes=5)
"""A worker that died leaves its event claimed for so long."""
MOST_ATTEMPTS = 12
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=15), timedelta(hours=6)
SWEPT_AT_ONCE = 500


class EventState(StrEnum):
    RECEIVED = "received"
    DONE = "done"
    IGNORED = "ignored"
    """It is none of our business, and will not become it."""
    DEAD = "dead"


@dataclass(frozen=True)
class StoredEvent:
    id: UUID
    provider: Provider
    external_id: str
    kind: str
    environment: str | None
    body: bytes


@dataclass(frozen=True)
class Applied:
    """What an effect did. `note` says why an event was ignored."""

    state: EventState = EventState.DONE
    changes: tuple[StateChange, ...] = ()
    note: str | None = None


Effect = Callable[[Session, datetime], Applied]
"""Runs in the transaction that marks the event as done. It must not call another server."""

EventHandler = Callable[[StoredEvent], Effect]
"""Prepares an effect, outside of any transaction: here the provider may be asked. Any error means: try again later."""


@dataclass(frozen=True)
class EventInbox:
    handlers: Mapping[Provider, EventHandler]
    writer: EventWriter
    announce: Announce
    clock: Clock

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Failures are repeated by the sweeper, which knows how long each event has to wait."""
        return (
            Job(APPLY_EVENT, lambda event_id: self.apply(UUID(event_id)), retries=0),
            Job("sweep_billing_events", self.sweep, cron="* * * * *"),
        )

    def store(
        self, *, provider: Provider, external_id: str, kind: str, environment: str | None, body: bytes
    ) -> UUID | None:
        """Keep the event and enqueue its job. None when it is known already. The signature has been verified before.

        It is durable when this returns; call it outside of any transaction. Raises DependencyUnavailable.
        """
        now = self.clock()
        event = ArrivedEvent(uuid7(), provider, external_id, kind, environment, body, now, now + CLAIMED_FOR)
        return event.id if store_event(self.writer, event) else None

    def apply(self, event_id: UUID) -> int:
        """1 when the event was settled by this call. Never raises for an event that fails: that is written down."""
        event = self._claim(event_id)
        if event is None:
            return 0
        try:
            effect = self.handlers[event.provider](event)
            with transaction() as session:
                if not self._still_open(session, event.id):
                    return 0
                applied = effect(session, self.clock())
                self._settle(session, event.id, applied)
        except Exception as error:
            self._note_failure(event, error)
            return 0
        for change in applied.changes:
            self.announce(change.user_id, change.version)
        return 1

    def sweep(self) -> int:
        """Enqueue what is due again: events that failed, and events whose worker died."""
        now = self.clock()
        with transaction() as session:
            due = session.scalars(
                select(BillingEvent.id)
                .where(BillingEvent.state == EventState.RECEIVED, BillingEvent.next_attempt_at <= now)
                .order_by(BillingEvent.next_attempt_at)
                .limit(SWEPT_AT_ONCE)
                .with_for_update(skip_locked=True)
            ).all()
            for event_id in due:
                self._enqueue(session, event_id)
            session.execute(
                update(BillingEvent).where(BillingEvent.id.in_(due)).values(next_attempt_at=now + CLAIMED_FOR)
            )
        return len(due)

    def replay(self, session: Session, event_ids: list[UUID] | None) -> int:
        """Start events anew, whatever became of them; all dead ones for None. Returns how many."""
        chosen = BillingEvent.state == EventState.DEAD if event_ids is None else BillingEvent.id.in_(event_ids)
        restarted = session.scalars(
            update(BillingEvent)
            .where(chosen)
            .values(
                state=EventState.RECEIVED,
                attempts=0,
                last_error=None,
                settled_at=None,
                next_attempt_at=self.clock() + CLAIMED_FOR,
            )
            .returning(BillingEvent.id)
        ).all()
        for event_id in restarted:
            self._enqueue(session, event_id)
        return len(restarted)

    def _enqueue(self, session: Session, event_id: UUID) -> None:
        enqueue_job(session, APPLY_EVENT, event_id=str(event_id))

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
            return StoredEvent(row.id, Provider(row.provider), row.external_id, row.kind, row.environment, row.body)

    def _still_open(self, session: Session, event_id: UUID) -> bool:
        """Locks the event's row: of two workers with the same event, the second finds it settled."""
        query = select(BillingEvent.state).where(BillingEvent.id == event_id).with_for_update()
        return session.execute(query).scalar_one_or_none() == EventState.RECEIVED

    def _settle(self, session: Session, event_id: UUID, applied: Applied) -> None:
        session.execute(
            update(BillingEvent)
            .where(BillingEvent.id == event_id)
            .values(state=applied.state, settled_at=self.clock(), last_error=applied.note)
        )

    def _note_failure(self, event: StoredEvent, error: Exception) -> None:
        """Keeps the kind of the error alone: its text may quote the event."""
        now = self.clock()
        with transaction() as session:
            row = session.scalars(
                select(BillingEvent).where(BillingEvent.id == event.id).with_for_update()
            ).one_or_none()
            if row is None or row.state != EventState.RECEIVED:
                return
            row.last_error = type(error).__name__
            row.next_attempt_at = now + wait_after(row.attempts)
            if row.attempts >= MOST_ATTEMPTS:
                row.state = EventState.DEAD
            dead = row.state == EventState.DEAD
        structlog.get_logger().error(
            "billing_event_dead" if dead else "billing_event_failed",
            event_id=str(event.id),
            provider=event.provider.value,
            kind=event.kind,
            reason=type(error).__name__,
        )


def wait_after(attempts: int) -> timedelta:
    """15 seconds, a minute, 4 minutes ... six hours."""
    factor: int = 4 ** min(attempts - 1, 10)
    return min(FIRST_WAIT * factor, LONGEST_WAIT)
