"""The one PostgreSQL transaction of a metered call: its row, the usage counter, the reservation, the idempotency answer.

Many calls of one process share it (database.group_commit), and each may be written twice without counting twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from time import monotonic, sleep
from uuid import UUID

import orjson
import psycopg2
import structlog
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from database.group_commit import CommitNotConfirmed, GroupCommit, NothingWritten
from gateway.idempotency import HeldKey
from security.problems import DependencyUnavailable

SETTLE_SECONDS = 3.0
FAILURE_SECONDS = 1.0
LARGEST_BATCH = 64
"""An answer that is kept may have 256 KiB, so one statement has 16 MiB at most: far from the statement timeout."""
FIRST_PAUSE_SECONDS = 0.05


class UsageNotRecorded(DependencyUnavailable):
    """The prediction was made, but PostgreSQL did not confirm that it is counted. What is not counted is not delivered.

    `may_be_counted`: the connection broke while the call was being written, so nobody knows.
    """

    def __init__(self, *, may_be_counted: bool = True) -> None:
        super().__init__("The prediction could not be recorded. Please ask again in a moment", seconds=5)
        self.may_be_counted = may_be_counted


@dataclass(frozen=True, slots=True)
class SettledCall:
    """How one call ended. `error_code` None means delivered, and only a delivered call is counted.

    `held`: its reservation, when that lies in PostgreSQL. `answer` is kept under `key` for a client that asks again.
    `failed`: how many times a call that failed had reached the private server, which is counted in its `hour`.
    """

    request_id: UUID
    user_id: UUID
    feature: str
    tier: str
    window_date: date
    request_data_hash: str
    status: int
    error_code: str | None
    response_time_ms: int
    upstream_ms: int
    held: UUID | None
    key: HeldKey | None
    answer: str | None
    hour: str | None = None
    failed: int = 0


PREPARE_SETTLE = """
PREPARE settle (json) AS
WITH call AS MATERIALIZED (
    SELECT * FROM json_to_recordset($1) AS call (
        request_id uuid, user_id uuid, feature text, tier text, window_date date, request_data_hash text,
        status smallint, error_code text, response_time_ms integer, upstream_ms integer,
        held uuid, key_sha256 text, route text, lease_until timestamptz, answer text, hour text, failed integer
    )
), written AS (
    INSERT INTO prediction_requests AS kept (
        id, user_id, request_data_hash, success, response_time_ms, error_code, feature, tier, status, upstream_ms, window_date
    )
    SELECT request_id, user_id, request_data_hash, error_code IS NULL, response_time_ms, error_code,
           feature, tier, status, upstream_ms, window_date
    FROM call
    ON CONFLICT (id) DO UPDATE SET
        success = true, error_code = NULL, status = excluded.status, response_time_ms = excluded.response_time_ms,
        upstream_ms = excluded.upstream_ms, window_date = excluded.window_date
    WHERE NOT kept.success AND excluded.success
    RETURNING kept.id, kept.user_id, kept.feature, kept.window_date, kept.success
), counted AS (
    INSERT INTO usage_counters AS counter (user_id, feature, day, used)
    SELECT user_id, feature, window_date, count(*) FROM written WHERE success
    GROUP BY user_id, feature, window_date ORDER BY user_id, feature, window_date
    ON CONFLICT (user_id, feature, day) DO UPDATE SET used = counter.used + excluded.used
    RETURNING user_id, feature, day, used
), failing AS (
    INSERT INTO usage_failures AS known (user_id, feature, hour, failed)
    SELECT user_id, feature, hour, sum(failed) FROM call WHERE failed > 0
    GROUP BY user_id, feature, hour ORDER BY user_id, feature, hour
    ON CONFLICT (user_id, feature, hour) DO UPDATE SET failed = known.failed + excluded.failed
    RETURNING user_id, feature, hour, failed
), freed AS (
    DELETE FROM usage_reservations AS reservation USING call WHERE reservation.request_id = call.held
), answered AS (
    UPDATE idempotency_keys AS known SET answer = call.answer, answered_at = now()
    FROM call
    WHERE call.answer IS NOT NULL AND known.user_id = call.user_id AND known.route = call.route
        AND known.key_sha256 = decode(call.key_sha256, 'hex') AND known.request_id = call.request_id
        AND known.lease_until = call.lease_until AND known.answer IS NULL
)
SELECT written.id::text, counted.used
FROM written LEFT JOIN counted
    ON written.success AND counted.user_id = written.user_id AND counted.feature = written.feature
    AND counted.day = written.window_date
UNION ALL
SELECT call.request_id::text, failing.failed
FROM failing JOIN call
    ON call.failed > 0 AND call.user_id = failing.user_id AND call.feature = failing.feature AND call.hour = failing.hour
"""
"""Counters are raised in one order of users and days, so that two processes cannot wait for each other. A success replaces a
failure of the same id: whoever took over an idempotency key counts when the first holder's failure was written already. Each
failure counts, also under an id that failed before: the private server was asked again."""

SETTLE = "EXECUTE settle (%s)"
USED = "SELECT used FROM usage_counters WHERE user_id = %s AND feature = %s AND day = %s"


def prepare_settle(connection: Connection) -> None:
    """Planning the statement costs PostgreSQL five times as much as running it, so each connection plans it once."""
    with connection.cursor() as cursor:
        cursor.execute(PREPARE_SETTLE)


def write_calls(connection: Connection, calls: Sequence[SettledCall]) -> list[int | None]:
    """Write calls in one transaction, on a connection that `prepare_settle` was run on.

    Returns for each call the user's count of that day with this call in it; for a failed one the user's failures of that hour,
    None when it had not reached the private server.
    """
    document = orjson.dumps([_as_row(call) for call in calls]).decode()
    with connection.cursor() as cursor:
        cursor.execute(SETTLE, (document,))
        written: dict[str, int | None] = dict(cursor.fetchall())
        results: list[int | None] = []
        counted_later: dict[tuple[UUID, str, date], int] = {}
        for call in reversed(calls):
            if call.error_code is not None:
                results.append(written.get(str(call.request_id)) if call.failed else None)
                continue
            used = written.get(str(call.request_id))
            if used is None:
                # It was written before, so the answer to that write was lost. This statement sees what that one committed.
                cursor.execute(USED, (str(call.user_id), call.feature, call.window_date))
                row = cursor.fetchone()
                results.append(row[0] if row else 0)
                continue
            counter = (call.user_id, call.feature, call.window_date)
            later = counted_later.get(counter, 0)
            counted_later[counter] = later + 1
            results.append(used - later)
    results.reverse()
    return results


def _as_row(call: SettledCall) -> dict[str, object]:
    row: dict[str, object] = {
        "request_id": call.request_id,
        "user_id": call.user_id,
        "feature": call.feature,
        "tier": call.tier,
        "window_date": call.window_date,
        "request_data_hash": call.request_data_hash,
        "status": call.status,
        "error_code": call.error_code,
        "response_time_ms": call.response_time_ms,
        "upstream_ms": call.upstream_ms,
        "held": call.held,
    }
    if call.failed:
        row |= {"hour": call.hour, "failed": call.failed}
    if call.key is not None:
        row |= {
            "key_sha256": call.key.key_sha256.hex(),
            "route": call.key.route,
            "lease_until": call.key.lease_until,
            "answer": call.answer,
        }
    return row


CallWriter = GroupCommit[SettledCall, int | None]


def call_writer(connect: Callable[[], Connection]) -> CallWriter:
    """The group commit of settled calls. One per process; `connect` must lead to a session that keeps prepared statements."""
    return GroupCommit(connect, write_calls, prepare=prepare_settle, largest_batch=LARGEST_BATCH)


class Settlement:
    """Writes calls and does not give up at the first broken connection: PostgreSQL may be restarting."""

    def __init__(self, writer: CallWriter, seconds: float = SETTLE_SECONDS) -> None:
        """`seconds`: how long a delivered prediction waits for PostgreSQL to confirm it."""
        self._writer = writer
        self._seconds = seconds

    def count(self, call: SettledCall) -> int:
        """Record a delivered call: the user's count of that day with it. Raises UsageNotRecorded when that is not certain."""
        deadline, pause = monotonic() + self._seconds, FIRST_PAUSE_SECONDS
        may_be_counted = False
        while True:
            try:
                return self._writer.submit(call) or 0
            except CommitNotConfirmed as error:
                may_be_counted = may_be_counted or not isinstance(error, NothingWritten)
                if monotonic() + pause > deadline:
                    structlog.get_logger().error("usage_not_recorded", call=str(call.request_id), cause=str(error))
                    raise UsageNotRecorded(may_be_counted=may_be_counted) from error
                sleep(pause)
                pause = min(pause * 2, 0.5)

    def note_failure(self, call: SettledCall) -> int | None:
        """Record a call that delivered nothing, if that is done within a second: the client's answer stands. Never raises.

        The user's failures of that hour, when PostgreSQL confirmed them.
        """
        try:
            return self._writer.submit_within(call, FAILURE_SECONDS)
        except (CommitNotConfirmed, psycopg2.Error) as error:
            cause = str(error) if isinstance(error, CommitNotConfirmed) else type(error).__name__
            structlog.get_logger().warning("failure_not_recorded", call=str(call.request_id), cause=cause)
            return None
