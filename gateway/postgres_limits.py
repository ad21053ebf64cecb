"""Limits in PostgreSQL: the same answers as the Redis scripts, from one function (reserve_call) in one round trip."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import psycopg2
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gateway.limits import MICROSECONDS, Ask, Counts, LimitsUnavailable, burst_interval
from gateway.redis_limits import HeldInPostgres, Verdict


@dataclass(frozen=True, slots=True)
class RedisAdmits:
    """Not PostgreSQL but Redis admits calls, in this epoch."""

    epoch: int


class OthersNotReady(Exception):
    """A living process has not yet said what it holds in Redis. Ask again in a moment."""


class PostgresLimits:
    """`drain_seconds`: how long a process that died may still have calls in flight; as in RedisEpoch's times."""

    def __init__(self, engine: Engine, *, drain_seconds: float = 40.0) -> None:
        self._engine = engine
        self._drain = timedelta(seconds=drain_seconds)

    def reserve(self, ask: Ask) -> Verdict | RedisAdmits:
        """Raises OthersNotReady and LimitsUnavailable."""
        limits = ask.limits
        interval = burst_interval(limits)
        row = self._row(
            "SELECT * FROM reserve_call(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                str(ask.request_id),
                str(ask.user_id),
                ask.feature,
                timedelta(seconds=ask.lease_seconds),
                limits.per_day,
                interval,
                interval * limits.burst,
                limits.concurrency,
                self._drain,
                ask.failures_allowed,
            ),
        )
        outcome, violated, day, used, day_in_flight, in_flight, tat, now, detail = row
        if outcome == "redis":
            return RedisAdmits(detail)
        if outcome == "wait":
            raise OthersNotReady
        if outcome == "unknown":
            raise LimitsUnavailable(detail / MICROSECONDS)
        return Verdict(violated, day, Counts(used, day_in_flight, in_flight, tat, now))

    def delete(self, request_id: UUID) -> None:
        """Remove a reservation, if it is there. Raises LimitsUnavailable."""
        self._row("WITH gone AS (DELETE FROM usage_reservations WHERE request_id = %s) SELECT 1", (str(request_id),))

    def held(self, user_id: UUID, feature: str, day: date) -> HeldInPostgres:
        """For the Redis script. One statement: a call that is settled meanwhile is seen in flight or used, never neither."""
        row = self._row(
            "SELECT coalesce((SELECT used FROM usage_counters WHERE user_id = %(user)s AND feature = %(feature)s"
            " AND day = %(day)s), 0),"
            " floor(extract(epoch FROM now()) / 3600)::integer,"
            " coalesce((SELECT failed FROM usage_failures WHERE user_id = %(user)s AND feature = %(feature)s"
            """ AND hour = to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24')), 0),"""
            " coalesce(array_agg((day - DATE '1970-01-01') || ':' || replace(request_id::text, '-', '') || ':p'), '{}'),"
            " coalesce(array_agg(ceil(extract(epoch FROM lease_until - clock_timestamp()) * 1000)::bigint), '{}')"
            " FROM usage_reservations"
            " WHERE user_id = %(user)s AND feature = %(feature)s AND lease_until > clock_timestamp()",
            {"user": str(user_id), "feature": feature, "day": day},
        )
        used, hour, failed, members, left_ms = row
        return HeldInPostgres(used, hour, failed, tuple(zip(members, left_ms, strict=True)))

    def counts(self, user_id: UUID, feature: str) -> Counts:
        """The figures of this moment, nothing taken. Raises LimitsUnavailable."""
        row = self._row(
            "SELECT coalesce((SELECT used FROM usage_counters WHERE user_id = %(user)s AND feature = %(feature)s"
            " AND day = (now() AT TIME ZONE 'UTC')::date), 0),"
            " count(*) FILTER (WHERE day = (now() AT TIME ZONE 'UTC')::date), count(*),"
            " coalesce((SELECT burst_tat FROM usage_gates WHERE user_id = %(user)s AND feature = %(feature)s), 0),"
            " (extract(epoch FROM now()) * 1000000)::bigint"
            " FROM usage_reservations WHERE user_id = %(user)s AND feature = %(feature)s AND lease_until > now()",
            {"user": str(user_id), "feature": feature},
        )
        return Counts(*row)

    def leave_redis(self, epoch: int) -> None:
        """Make PostgreSQL admit calls. For a process that has no Redis among others that have."""
        self._row("SELECT leave_redis(%s)", (epoch,))

    def _row(self, statement: str, parameters: object) -> tuple[Any, ...]:
        """Run one statement in its own transaction, in one round trip.

        A pooled connection that died with a restart of the server is replaced; every statement here may be repeated.
        Raises LimitsUnavailable.
        """
        for _ in range(self._engine.pool.size() + 1):  # type: ignore[attr-defined]
            try:
                with self._autocommitting() as connection, connection.cursor() as cursor:
                    cursor.execute(statement, parameters)
                    row: tuple[Any, ...] = cursor.fetchone()
                    return row
            except DeadConnection:
                continue
            except (psycopg2.Error, SQLAlchemyError) as error:
                raise LimitsUnavailable from error
        raise LimitsUnavailable

    @contextmanager
    def _autocommitting(self) -> Iterator[Any]:
        pooled = self._engine.raw_connection()
        try:
            connection: Any = pooled.dbapi_connection
            connection.autocommit = True
            yield connection
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            if connection.closed:
                pooled.invalidate(error)
                raise DeadConnection from error
            raise
        finally:
            if pooled.is_valid:
                with suppress(psycopg2.Error):
                    pooled.dbapi_connection.autocommit = False  # type: ignore[union-attr]
            pooled.close()


class DeadConnection(Exception):
    """The server closed this connection. Another may work."""
