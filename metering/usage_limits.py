"""Limits of metered calls. Redis answers for features that only count calls, while it answers; PostgreSQL for everything else.

Neither is the proof of a limit: that is the statement that counts a call (metering.settle), which refuses what is beyond it.
So a cache that was emptied, restored or stopped can let a call begin in vain, and can never let one too many be delivered.
"""

from contextlib import suppress

import redis

from database.redis_server import RedisServer
from metering.limits import (
    AccountStateChanged,
    Ask,
    LimitsUnavailable,
    Refusal,
    Reservation,
    Standing,
    Verdict,
    policy_states,
    refusal,
)
from metering.postgres_limits import PostgresLimits
from metering.redis_limits import REFUSED, RELEASED, RedisLimits


class UsageLimits:
    """Implements metering.limits.Limits."""

    def __init__(self, postgres: PostgresLimits, server: RedisServer) -> None:
        self._postgres = postgres
        self._server = server
        self._redis: RedisLimits | None = None

    def reserve(self, ask: Ask) -> Reservation | Refusal:
        verdict = self._in_redis(ask) if ask.only_counts else None
        in_postgres = verdict is None
        if verdict is None:
            if ask.cached is not None:
                raise AccountStateChanged  # what it rests on lay in Redis and cannot be compared there
            verdict = self._postgres.reserve(ask)
        if verdict.violated:
            return refusal(ask, verdict.standing, verdict.violated)
        return Reservation(ask, verdict.amounts, policy_states(ask, verdict.standing), in_postgres)

    def settled(self, reservation: Reservation, used: int | None) -> None:
        if not reservation.in_postgres:
            self._tell_redis(reservation, REFUSED if used is None else used)
        elif used is None:  # else the settling transaction removed it
            self.release(reservation)

    def release(self, reservation: Reservation) -> None:
        if not reservation.in_postgres:
            self._tell_redis(reservation, RELEASED)
            return
        with suppress(LimitsUnavailable):  # what cannot be deleted now stops counting when its lease ends
            self._postgres.release(reservation.request_id)

    def extend(self, reservation: Reservation, seconds: float) -> bool:
        return self._postgres.extend(reservation.request_id, seconds)

    def usage(self, ask: Ask) -> Standing:
        standing = self._postgres.standing(ask)
        limits = self._in_use() if ask.only_counts else None
        if limits is None:
            return standing
        try:
            of_window, of_any, tat = limits.in_flight(ask)
        except (redis.RedisError, OSError):
            self._server.failed()
            return standing
        return Standing(
            standing.used,
            (standing.held[0] + of_window,),
            standing.in_flight + of_any,
            max(standing.burst_tat, tat),
            standing.now,
        )

    def _in_redis(self, ask: Ask) -> Verdict | None:
        """None when Redis does not answer."""
        limits = self._in_use()
        if limits is None:
            return None
        try:
            verdict = limits.reserve(ask)
            if verdict is None:
                verdict = limits.reserve(ask, self._postgres.used(ask))
        except (redis.RedisError, OSError):
            self._server.failed()
            return None
        return verdict

    def _tell_redis(self, reservation: Reservation, used: int) -> None:
        limits = self._in_use()
        if limits is None:
            return
        try:
            limits.settle(reservation, used)
        except (redis.RedisError, OSError):
            self._server.failed()

    def _in_use(self) -> RedisLimits | None:
        client = self._server.client()
        if client is None:
            return None
        if self._redis is None:
            self._redis = RedisLimits(client)
        return self._redis
