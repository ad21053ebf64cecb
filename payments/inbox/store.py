"""Putting an event of a provider into the inbox: once, together with the job that applies it.

Events that arrive at the same time share one commit. A commit that enqueues a job also notifies the workers, and PostgreSQL
lets one such commit at a time through, disk and all: one by one, a burst of events would wait for as many turns of the disk.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from database.group_commit import GroupCommit
from database.jobs.declare import QUEUE, JobName, Urgency
from database.prepared_statement import PreparedStatement
from database.shared_trips import TripNotCompleted
from payments.subscriptions.status import Provider
from security.edge.problems import DependencyUnavailable

APPLY_EVENT = JobName("apply_billing_event", Urgency.PAYMENTS)
LARGEST_BATCH = 20
"""An event may have a megabyte."""

STORE = PreparedStatement(
    "store_events",
    [
        *("uuid[]", "text[]", "text[]", "text[]", "text[]", "bytea[]", "timestamptz[]", "timestamptz[]"),
        *("text", "text", "integer"),
    ],
    """
WITH stored AS (
    INSERT INTO billing_events
        (id, provider, external_id, kind, environment, body, received_at, next_attempt_at)
    SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (provider, external_id) DO NOTHING
    RETURNING id
)
SELECT id::text, procrastinate_defer_jobs_v1(ARRAY[
    ROW($9, $10, $11, NULL, NULL, jsonb_build_object('event_id', id), NULL)::procrastinate_job_to_defer_v1
])
FROM stored
""",
)


@dataclass(frozen=True, slots=True)
class ArrivedEvent:
    """`claimed_until`: when the sweeper enqueues it again, if it was not applied. The texts hold no NUL."""

    id: UUID
    provider: Provider
    external_id: str
    kind: str
    environment: str | None
    body: bytes
    received_at: datetime
    claimed_until: datetime


EventWriter = GroupCommit[ArrivedEvent, bool]


def event_writer(connect: Callable[[], Connection]) -> EventWriter:
    """One per process."""
    return GroupCommit(connect, write_events, prepare=STORE.prepare, largest_batch=LARGEST_BATCH)


def store_event(writer: EventWriter, event: ArrivedEvent) -> bool:
    """Whether it is new. The second attempt is for a connection that was lost while it idled.

    Raises DependencyUnavailable: it may be stored or not, and the sender comes again.
    """
    try:
        return writer.submit(event)
    except TripNotCompleted:
        pass
    try:
        return writer.submit(event)
    except TripNotCompleted as error:
        raise DependencyUnavailable from error


def write_events(connection: Connection, events: Sequence[ArrivedEvent]) -> list[bool]:
    """Write events and their jobs in one transaction, on a connection that `STORE` was prepared on.

    Says for each event whether it was new. Of two that are the same the first one is.
    """
    columns = (
        [str(event.id) for event in events],
        [event.provider.value for event in events],
        [event.external_id for event in events],
        [event.kind for event in events],
        [event.environment for event in events],
        [psycopg2.Binary(event.body) for event in events],
        [event.received_at for event in events],
        [event.claimed_until for event in events],
    )
    with connection.cursor() as cursor:
        STORE.execute(cursor, *columns, QUEUE, str(APPLY_EVENT), int(APPLY_EVENT.urgency))
        stored = {event_id for event_id, _ in cursor.fetchall()}
    return [str(event.id) in stored for event in events]
