"""The one PostgreSQL transaction of a metered call: its row, what it used, its charge, the reservation, the kept answer.

Many calls of one process share it (database.group_commit), and each may be written twice without counting twice. It is also
where every limit holds: a counter cannot be raised above what its call was allowed, so such a call fails here and is not
delivered.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from enum import StrEnum
from operator import attrgetter
from time import monotonic, sleep
from typing import TypedDict
from uuid import UUID

import orjson
import psycopg2
import structlog
from psycopg2.errors import CheckViolation
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from database.group_commit import GroupCommit
from database.prepared_statement import PreparedStatement
from database.shared_trips import TripNotBegun, TripNotCompleted
from metering.idempotency import HeldKey
from metering.metrics import FAILURE_NOT_RECORDED
from security.edge.problems import DependencyUnavailable

SETTLE_SECONDS = 3.0
FAILURE_SECONDS = 1.0
LARGEST_BATCH = 64
"""An answer that is kept may have 256 KiB, so one statement has 16 MiB at most: far from the statement timeout."""
FIRST_PAUSE_SECONDS = 0.05
FENCE = "ck_usage_counters_within_allowed"


class UsageNotRecorded(DependencyUnavailable):
    """The call was made, but PostgreSQL did not confirm that it is counted. What is not counted is not delivered.

    `may_be_counted`: the connection broke while the call was being written, so nobody knows.
    """

    def __init__(self, *, may_be_counted: bool = True) -> None:
        super().__init__("The answer could not be recorded. Try again in a moment", seconds=5)
        self.may_be_counted = may_be_counted


class LimitReachedMeanwhile(Exception):
    """Counting this call would pass a limit that it was reserved under: others were counted while it ran. It counts for nothing."""


class Outcome(StrEnum):
    DELIVERED = "delivered"
    CUT_SHORT = "cut_short"
    """A stream that ended early: what was read was used."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """Sent, and not answered in time: nothing was delivered or charged, but it may cost us."""
    ABANDONED = "abandoned"
    """Its process ended in the call; noted when its reservation had ended. What settles all the same replaces it."""
    REFUSED = "refused"
    """By a limit; one a minute stands for all of a user and policy."""


class Spent(TypedDict):
    """What a call used of one counter. `allowed`: the most that the counter may reach with it; None for no limit."""

    counter: str
    unit: str
    window: str
    amount: int
    allowed: int | None


@dataclass(slots=True)
class SettledCall:
    """How one call ended. Money is in millionths (micros) of the currency of the plans. Raises TypeError for what JSON cannot hold.

    `held`: its reservation, when that lies in PostgreSQL. `answer` is kept under `key` for a client that asks again.
    `units`: what it took, by name, for the log, and `details` what else its feature says of it. `lines` are made before calls
    go together, so that what cannot be written fails alone.
    """

    request_id: UUID
    user_id: UUID
    feature: str
    tier: str
    window_date: date
    request_data_hash: str
    outcome: Outcome
    status: int
    error_code: str | None
    response_time_ms: int
    upstream_ms: int
    spent: tuple[Spent, ...] = ()
    held: UUID | None = None
    key: HeldKey | None = None
    answer: str | None = None
    api_key_id: UUID | None = None
    provider: str | None = None
    model: str | None = None
    units: Mapping[str, int] | None = None
    price_micros: int | None = None
    cost_micros: int | None = None
    details: Mapping[str, str | int | bool] | None = None
    lines: bytes = field(init=False)

    def __post_init__(self) -> None:
        """What is null is left out of the first line."""
        first: dict[str, object] = {"place": 0}
        for name, value in zip(COLUMNS, values_of(self), strict=True):
            if value is not None:
                first[name] = value
        if self.spent:
            first |= self.spent[0]
        if self.key is not None:
            first |= {
                "key_sha256": self.key.key_sha256.hex(),
                "route": self.key.route,
                "lease_until": self.key.lease_until,
                "answer": self.answer,
            }
        further = [
            {"place": place, "request_id": self.request_id, "user_id": self.user_id} | spent
            for place, spent in enumerate(self.spent[1:], start=1)
        ]
        self.lines = orjson.dumps([first, *further])[1:-1]


COLUMNS = tuple(each.name for each in fields(SettledCall) if each.name not in {"spent", "key", "answer", "lines"})
values_of = attrgetter(*COLUMNS)


SETTLE = PreparedStatement(
    "settle",
    ["json"],
    """
WITH line AS MATERIALIZED (
    SELECT * FROM json_to_recordset($1) AS line (
        place integer, request_id uuid, user_id uuid, counter text, unit text, "window" text, amount bigint, allowed bigint,
        feature text, tier text, window_date date, request_data_hash text, outcome text,
        status smallint, error_code text, response_time_ms integer, upstream_ms integer, api_key_id uuid, provider text,
        model text, units jsonb, price_micros bigint, cost_micros bigint, details jsonb,
        held uuid, key_sha256 text, route text, lease_until timestamptz, answer text
    )
), written AS (
    INSERT INTO request_logs AS kept (
        id, user_id, request_data_hash, success, response_time_ms, error_code, feature, tier, status, upstream_ms, window_date,
        outcome, api_key_id, provider, model, units, price_micros, cost_micros, details
    )
    SELECT request_id, user_id, request_data_hash, error_code IS NULL, response_time_ms, error_code,
           feature, tier, status, upstream_ms, window_date,
           outcome, api_key_id, provider, model, units, coalesce(price_micros, 0), coalesce(cost_micros, 0), details
    FROM line WHERE place = 0 ORDER BY request_id
    ON CONFLICT (id) DO UPDATE SET
        success = excluded.success, error_code = excluded.error_code, status = excluded.status,
        response_time_ms = excluded.response_time_ms, upstream_ms = excluded.upstream_ms,
        window_date = excluded.window_date, outcome = excluded.outcome, tier = excluded.tier,
        request_data_hash = excluded.request_data_hash, api_key_id = excluded.api_key_id,
        provider = excluded.provider, model = excluded.model, units = excluded.units,
        price_micros = excluded.price_micros, cost_micros = excluded.cost_micros, details = excluded.details
    WHERE NOT kept.success AND (excluded.success OR kept.outcome = 'abandoned')
    RETURNING kept.id, kept.user_id, kept.feature, kept.window_date, kept.price_micros, kept.cost_micros, kept.units
), spent AS MATERIALIZED (
    SELECT line.place, line.request_id, line.user_id, line.counter, line.unit, line."window", line.amount, line.allowed
    FROM line LEFT JOIN written ON written.id = line.request_id
    WHERE line.counter IS NOT NULL AND (written.id IS NOT NULL OR line.unit = 'failure')
), counted AS (
    INSERT INTO usage_counters AS counter (user_id, feature, unit, "window", used, allowed)
    SELECT user_id, counter, unit, "window", sum(amount), min(allowed) FROM spent
    GROUP BY user_id, counter, unit, "window" ORDER BY user_id, counter, unit, "window"
    ON CONFLICT (user_id, feature, unit, "window")
        DO UPDATE SET used = counter.used + excluded.used, allowed = excluded.allowed
    RETURNING user_id, feature, unit, "window", used
), charged AS (
    INSERT INTO charges (request_id, user_id, feature, window_date, units, price_micros, cost_micros)
    SELECT id, user_id, feature, window_date, units, price_micros, cost_micros FROM written WHERE price_micros > 0
    ON CONFLICT (request_id) DO NOTHING
), freed AS (
    DELETE FROM usage_reservations AS reservation USING line WHERE reservation.request_id = line.held
), answered AS (
    UPDATE idempotency_keys AS known SET answer = line.answer, answered_at = now()
    FROM line
    WHERE line.answer IS NOT NULL AND known.user_id = line.user_id AND known.route = line.route
        AND known.key_sha256 = decode(line.key_sha256, 'hex') AND known.request_id = line.request_id
        AND known.lease_until = line.lease_until AND known.answer IS NULL
)
SELECT spent.request_id::text, counted.used
FROM spent JOIN counted
    ON counted.user_id = spent.user_id AND counted.feature = spent.counter AND counted.unit = spent.unit
    AND counted."window" = spent."window"
WHERE spent.place = 0
""",
)
"""A call's first line (place 0) is its row and its first counter; each further counter has a line of its own. One document of
short lines: reading JSON is the dearest part of a batch after its commit.

Counters are raised in one order of users and windows, so that two processes cannot wait for each other. A success replaces a
failure of the same id: whoever took over an idempotency key counts when the first holder's failure was written already. What a
call says of itself replaces that it was abandoned.

Of several calls for one counter the smallest limit counts. When that refuses, each is written alone. A failure counts each time,
also of a first holder that wakes up after its key was taken over.

To plan it costs PostgreSQL five times as much as to run it, so each connection plans it once."""

USED = 'SELECT used FROM usage_counters WHERE user_id = %s AND feature = %s AND unit = %s AND "window" = %s'


def write_calls(connection: Connection, calls: Sequence[SettledCall]) -> list[int | None]:
    """Write calls in one transaction, on a connection that `SETTLE` was prepared on.

    Returns for each call what its first counter stands at with this call in it; None when it spent nothing.
    """
    lines = b",".join([call.lines for call in calls]).decode()
    with connection.cursor() as cursor:
        SETTLE.execute(cursor, f"[{lines}]")
        stands: dict[str, int] = dict(cursor.fetchall())
        results: list[int | None] = []
        counted_later: dict[tuple[UUID, str, str, str], int] = {}
        for call in reversed(calls):
            used = None
            if call.spent:
                first = call.spent[0]
                counter = (call.user_id, first["counter"], first["unit"], first["window"])
                used = stands.get(str(call.request_id))
                if used is None:
                    # It was written before, so the answer to that write was lost. This sees what that one committed.
                    cursor.execute(USED, (str(call.user_id), *counter[1:]))
                    row = cursor.fetchone()
                    used = row[0] if row else 0
                else:
                    later = counted_later.get(counter, 0)
                    counted_later[counter] = later + first["amount"]
                    used -= later
            results.append(used)
    results.reverse()
    return results


CallWriter = GroupCommit[SettledCall, int | None]


def call_writer(connect: Callable[[], Connection]) -> CallWriter:
    """The group commit of settled calls. One per process."""
    return GroupCommit(connect, write_calls, prepare=SETTLE.prepare, largest_batch=LARGEST_BATCH)


class Settlement:
    """Writes calls and does not give up at the first broken connection: PostgreSQL may be restarting."""

    def __init__(self, writer: CallWriter, seconds: float = SETTLE_SECONDS) -> None:
        """`seconds`: how long a call that was made waits for PostgreSQL to confirm it."""
        self._writer = writer
        self._seconds = seconds

    def count(self, call: SettledCall, seconds: float | None = None) -> int:
        """Record a call that used something: what its first counter stands at with it. `seconds`: longer than usual.

        Raises UsageNotRecorded when that is not certain, and LimitReachedMeanwhile.
        """
        deadline, pause = monotonic() + (seconds or self._seconds), FIRST_PAUSE_SECONDS
        may_be_counted = False
        while True:
            try:
                return self._writer.submit(call) or 0
            except CheckViolation as error:
                if error.diag.constraint_name == FENCE:
                    raise LimitReachedMeanwhile from error
                raise
            except TripNotCompleted as error:
                may_be_counted = may_be_counted or not isinstance(error, TripNotBegun)
                if monotonic() + pause > deadline:
                    structlog.get_logger().error("usage_not_recorded", call=str(call.request_id), cause=str(error))
                    raise UsageNotRecorded(may_be_counted=may_be_counted) from error
                sleep(pause)
                pause = min(pause * 2, 0.5)

    def note_failure(self, call: SettledCall) -> int | None:
        """Record a call that delivered nothing, if that is done within a second: the client's answer stands. Never raises.

        Returns what its first counter stands at with it, 0 when it has none; None when it was not recorded.
        """
        try:
            return self._writer.submit_within(call, FAILURE_SECONDS) or 0
        except (TripNotCompleted, psycopg2.Error) as error:
            FAILURE_NOT_RECORDED.inc()
            cause = str(error) if isinstance(error, TripNotCompleted) else type(error).__name__
            structlog.get_logger().warning("failure_not_recorded", call=str(call.request_id), cause=cause)
            return None
