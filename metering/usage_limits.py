"""Limits of metered calls. Redis answers for features that only count calls, while it answers; PostgreSQL for everything else.

Neither is the proof of a limit: that is the statement that counts a call (metering.settle), which refuses what is beyond it.
So a cache that was emptied, restored or stopped can let a call begin in vain, and can never let one too many be delivered.
"""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import redis

from database.redis.server import RedisServer
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
from metering.redis_limits import DID_NOT_FAIL, NOT_COUNTED, REFUSED, RedisLimits
from metering.unrecorded_failures import UnrecordedFailures

MOST_UNSAID = 10_000


class UsageLimits:
    """Every call is reserved, then settled, failed or released."""

    def __init__(self, postgres: PostgresLimits, server: RedisServer) -> None:
        self._postgres = postgres
        self._server = server
        self._redis: RedisLimits | None = None
        self._unrecorded = UnrecordedFailures()
        # What Redis could not be told. Without it calls that ended while it was away would hold their places until their leases end.
        self._unsaid: deque[tuple[Ask, int, int]] = deque(maxlen=MOST_UNSAID)

    def reserve(self, ask: Ask) -> Reservation | Refusal:
        """Take what every draw asks for, or nothing from any. Raises AccountStateChanged and LimitsUnavailable."""
        limited = ask
        if ask.failures_per_hour is not None and (unrecorded := self._unrecorded.of(ask)):
            limited = replace(ask, failures_per_hour=max(0, ask.failures_per_hour - unrecorded))
        verdict = self._in_redis(limited) if ask.only_counts else None
        in_postgres = verdict is None
        if verdict is None:
            if ask.only_counts and ask.cached is not None:
                raise AccountStateChanged  # what it rests on lay in Redis and cannot be compared there
            verdict = self._postgres.reserve(limited)
        if verdict.violated:
            return refusal(ask, verdict.standing, verdict.violated)
        return Reservation(ask, verdict.amounts, policy_states(ask, verdict.standing), in_postgres)

    def settled(self, reservation: Reservation, used: int | None) -> None:
        """Say, after the commit, that a call was counted: `used` is what its counter stands at. None: it was refused there.

        Never raises.
        """
        if not reservation.in_postgres:
            self._tell_redis(reservation.ask, REFUSED if used is None else used)
        elif used is None:  # else the settling transaction removed it
            self.release(reservation)

    def failed(self, reservation: Reservation, failures: int | None, times: int = 1) -> None:
        """Give a call back that reached its upstream in vain, so many times. `failures`: how many of this hour PostgreSQL
        counted with it; None when it could not be told. Then they count in this process, and what the call reserved stays until its
        lease ends if it leaves a row then. Never raises.
        """
        if failures is None:
            self._unrecorded.add(reservation.ask, times)
        if not reservation.in_postgres:
            self._tell_redis(reservation.ask, NOT_COUNTED, failures or DID_NOT_FAIL)
        elif not reservation.leaves_a_row:  # else the transaction that noted it removed it
            self.release(reservation)

    def release(self, reservation: Reservation) -> None:
        """Give a call back. The burst is not given back. Never raises."""
        if not reservation.in_postgres:
            self._tell_redis(reservation.ask, NOT_COUNTED)
            return
        with suppress(LimitsUnavailable):  # what cannot be deleted now stops counting when its lease ends
            self._postgres.release(reservation.ask.request_id)

    def refusal_of(self, reservation: Reservation, amounts: Sequence[int]) -> Refusal:
        """Why a call with these amounts could not be counted. Raises LimitsUnavailable."""
        ask = reservation.ask
        standing = self._postgres.standing(ask)
        violated = {
            draw.policy
            for draw, used, amount in zip(ask.draws, standing.used, amounts, strict=True)
            if draw.allowed is not None and used + amount > draw.allowed
        }
        return refusal(ask, standing, frozenset(violated or {ask.draws[0].policy}))

    def extend(self, reservation: Reservation, seconds: float) -> bool:
        """Let a call run so much longer from now. False: its lease is over, and others may have what it held.

        Raises LimitsUnavailable.
        """
        return self._postgres.extend(reservation.ask.request_id, seconds)

    def usage(self, ask: Ask) -> Standing:
        """The figures as they stand, nothing taken. Raises LimitsUnavailable when PostgreSQL cannot be read."""
        standing = self._postgres.standing(ask)
        limits = self._in_use() if ask.only_counts else None
        if limits is None:
            return standing
        try:
            of_window, of_any, tat = limits.in_flight(ask)
        except redis.RedisError:
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
                verdict = limits.reserve(ask, self._postgres.counted(ask))
        except redis.ResponseError:
            return None  # about this user's keys alone
        except redis.RedisError:
            self._unsaid.append((ask, NOT_COUNTED, DID_NOT_FAIL))  # it may have been carried out all the same
            return None
        return verdict

    def _tell_redis(self, ask: Ask, used: int, failures: int = DID_NOT_FAIL) -> None:
        """Not waited for: whoever calls has its answer, and nothing that is exact rests on it."""
        said = (ask, used, failures)
        unsaid = partial(self._unsaid.append, said)
        limits = self._in_use()
        if limits is None:
            unsaid()
        else:
            limits.settle(*said, lost=unsaid)

    def _in_use(self) -> RedisLimits | None:
        scripts = self._server.scripts()
        if scripts is None:
            return None
        limits = self._redis
        if limits is None:
            limits = self._redis = RedisLimits(scripts)
        while self._unsaid:
            try:
                said = self._unsaid.popleft()
            except IndexError:
                break  # another thread took the last one
            try:
                limits.settle(*said)
            except redis.ResponseError:
                continue
            except redis.RedisError:
                self._unsaid.append(said)
                return None
        return limits
