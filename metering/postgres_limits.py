"""Limits in PostgreSQL: amounts of every unit, and single calls while Redis does not answer."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import psycopg2
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from database.one_statement import rows_of
from metering.limits import BURST, CONCURRENCY, FAILURES, Ask, LimitsUnavailable, Standing, Verdict

RESERVE = Path(__file__).with_name("reserve_usage.sql").read_text(encoding="utf-8")
COUNTED = """
SELECT coalesce(sum(used) FILTER (WHERE unit = 'call'), 0)::bigint,
       coalesce(sum(used) FILTER (WHERE unit = 'failure'), 0)::bigint
FROM usage_counters
WHERE user_id = %s AND feature = %s AND (unit, "window") IN (('call', %s), ('failure', %s))
"""
EXTEND = """
WITH extended AS (
    UPDATE usage_reservations SET lease_until = clock_timestamp() + %s
    WHERE request_id = %s AND lease_until > clock_timestamp() RETURNING 1
)
SELECT count(*) FROM extended
"""
RELEASE = "WITH gone AS (DELETE FROM usage_reservations WHERE request_id = %s) SELECT 1"
STANDING = """
WITH live AS (
    SELECT * FROM usage_reservations WHERE user_id = %(user)s AND lease_until > now() AND request_id <> %(request)s
)
SELECT coalesce(counter.used, 0),
       coalesce((SELECT sum(amount) FROM live
                 WHERE feature = draw.counter AND unit = draw.unit AND "window" = draw."window"), 0)::bigint,
       (SELECT count(*) FROM live WHERE feature = %(feature)s AND unit = 'call'),
       coalesce((SELECT burst_tat FROM usage_gates WHERE user_id = %(user)s AND feature = %(feature)s), 0),
       (extract(epoch FROM now()) * 1000000)::bigint
FROM json_to_recordset(%(draws)s) AS draw (place integer, counter text, unit text, "window" text)
LEFT JOIN usage_counters AS counter
    ON counter.user_id = %(user)s AND counter.feature = draw.counter AND counter.unit = draw.unit
    AND counter."window" = draw."window"
ORDER BY draw.place
"""


class PostgresLimits:
    """Every method raises LimitsUnavailable when PostgreSQL does not answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def reserve(self, ask: Ask) -> Verdict:
        interval = ask.burst.interval
        rows = self._rows(
            RESERVE,
            {
                "request": str(ask.request_id),
                "user": str(ask.user_id),
                "feature": ask.feature,
                "draws": _document(ask),
                "hour": ask.hour.name,
                "failures_allowed": ask.failures_per_hour,
                "interval": interval,
                "capacity": interval * ask.burst.calls,
                "concurrency": ask.concurrency,
                "lease": timedelta(seconds=ask.lease_seconds),
            },
        )
        reserved, too_fast, too_many, too_bad, too_much, in_flight, tat, now = rows[0][:8]
        violated = {draw.policy for draw, row in zip(ask.draws, rows, strict=True) if too_much and row[11]}
        if too_fast:
            violated.add(BURST)
        if too_many:
            violated.add(CONCURRENCY)
        if too_bad:
            violated.add(FAILURES)
        taken = not violated
        amounts = tuple(row[10] for row in rows)
        standing = Standing(
            used=tuple(row[8] for row in rows),
            held=tuple(row[9] + (row[10] if taken else 0) for row in rows),
            in_flight=in_flight + taken,
            burst_tat=tat + (interval if taken and not reserved else 0),
            now=now,
        )
        return Verdict(frozenset(violated), amounts, standing)

    def extend(self, request_id: UUID, seconds: float) -> bool:
        """Let a reservation count for so long from now. False: its lease is over, and others may have what it held."""
        return bool(self._rows(EXTEND, (timedelta(seconds=seconds), str(request_id)))[0][0])

    def release(self, request_id: UUID) -> None:
        """Remove a reservation, if it is there."""
        self._rows(RELEASE, (str(request_id),))

    def counted(self, ask: Ask) -> tuple[int, int]:
        """Calls of the window, and failures of the hour."""
        windows = (ask.draws[0].window.name, ask.hour.name)
        calls, failures = self._rows(COUNTED, (str(ask.user_id), ask.feature, *windows))[0]
        return calls, failures

    def standing(self, ask: Ask) -> Standing:
        """The figures of this moment beside this call, nothing taken."""
        names = {"request": str(ask.request_id), "user": str(ask.user_id), "feature": ask.feature}
        rows = self._rows(STANDING, names | {"draws": _document(ask)})
        in_flight, tat, now = rows[0][2:]
        return Standing(tuple(row[0] for row in rows), tuple(row[1] for row in rows), in_flight, tat, now)

    def _rows(self, statement: str, parameters: object) -> list[tuple[Any, ...]]:
        try:
            return rows_of(self._engine, statement, parameters)
        except (psycopg2.Error, SQLAlchemyError) as error:
            raise LimitsUnavailable from error


def _document(ask: Ask) -> str:
    draws = [
        {
            "place": place,
            "counter": draw.counter,
            "unit": draw.unit,
            "window": draw.window.name,
            "allowed": draw.allowed,
            "at_least": draw.at_least,
            "at_most": draw.at_most,
        }
        for place, draw in enumerate(ask.draws)
    ]
    return orjson.dumps(draws).decode()
