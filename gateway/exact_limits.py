"""Limits that hold exactly, whichever backend admits the call: Redis while there is a lease, PostgreSQL otherwise."""

import random
import time
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

import redis

from database.base import Clock, utc_now
from database.redis_epoch import RedisEpoch
from database.redis_lease import RedisLease, WithoutRedis
from gateway.in_flight import Call, CallsInFlight
from gateway.limits import (
    MICROSECONDS,
    AccountStateChanged,
    Ask,
    Counts,
    LimitsUnavailable,
    PolicyState,
    Refusal,
    Reservation,
    hour_number,
    policy_states,
    refusal,
)
from gateway.plan_limits import PlanLimits
from gateway.postgres_limits import OthersNotReady, PostgresLimits, RedisAdmits
from gateway.redis_limits import NeedsReading, Reading, RedisLimits, RedisLostEpoch, Verdict, today_of
from gateway.unrecorded_failures import UnrecordedFailures

SWITCH_WAIT_SECONDS = 3.5
"""How long a call waits while the processes move from one backend to the other."""

STALL_SECONDS = 0.8
"""A grant of Redis that took longer is given back: meanwhile the others may have taken this process for dead.

Less than the margin of the epoch's times, which is how much longer the others believe it alive than it trusts Redis.
"""

READINGS = 4


class ExactLimits:
    """Implements gateway.limits.Limits."""

    def __init__(self, postgres: PostgresLimits, leases: RedisEpoch | WithoutRedis, *, clock: Clock = utc_now) -> None:
        self._postgres = postgres
        self._redis = RedisLimits()
        self._leases = leases
        self._clock = clock
        self._in_flight = CallsInFlight()
        self._unrecorded = UnrecordedFailures()
        if isinstance(leases, RedisEpoch):
            leases.publish_with(self._in_flight.publish)

    def reserve(self, ask: Ask) -> Reservation | Refusal:
        wait_until = time.monotonic() + SWITCH_WAIT_SECONDS
        ask = self._with_failures_of_this_process(ask)
        while True:
            lease = self._leases.current()
            answer = self._in_redis(lease, ask) if lease is not None else self._in_postgres(ask)
            if answer is not None:
                return answer
            if time.monotonic() > wait_until:
                raise LimitsUnavailable
            if lease is None:
                time.sleep(random.uniform(0.03, 0.08))  # noqa: S311

    def held_in_postgres(self, reservation: Reservation) -> bool:
        return reservation.epoch is None or self._in_flight.settling(reservation.request_id)

    def settled(self, reservation: Reservation, used: int) -> None:
        # The settling transaction removed the row, unless the row was written after that transaction had asked.
        self._finish(reservation, used, row_may_be_left=False)

    def release(self, reservation: Reservation) -> None:
        self._finish(reservation, 0, row_may_be_left=reservation.epoch is None)

    def failed(self, reservation: Reservation, recorded: int | None, times: int = 1) -> None:
        if recorded is None:
            self._unrecorded.add(reservation.user_id, reservation.feature, reservation.hour, times)
        self._finish(reservation, 0, row_may_be_left=reservation.epoch is None, failures=recorded or 0)

    def usage(self, user_id: UUID, feature: str, limits: PlanLimits) -> tuple[PolicyState, ...]:
        counts = self._postgres.counts(user_id, feature)
        lease = self._leases.current()
        if lease is not None:
            try:
                today, all_days, tat = self._redis.in_flight(lease, user_id, feature, today_of(counts.now))
            except (redis.RedisError, OSError):
                self._leases.failed(lease)
            else:
                counts = Counts(
                    counts.used,
                    counts.day_in_flight + today,
                    counts.in_flight + all_days,
                    max(counts.burst_tat, tat),
                    counts.now,
                )
        return policy_states(limits, counts)

    def _with_failures_of_this_process(self, ask: Ask) -> Ask:
        if self._unrecorded.is_empty():
            return ask
        now = int(self._clock().timestamp()) * MICROSECONDS
        return replace(ask, unrecorded_failures=self._unrecorded.of(ask.user_id, ask.feature, hour_number(now)))

    def _in_redis(self, lease: RedisLease, ask: Ask) -> Reservation | Refusal | None:
        """None when Redis cannot be believed: look for another lease, or go to PostgreSQL."""
        asked_at = time.monotonic()
        call = Call(lease.epoch, ask.user_id, ask.feature, asked_at + ask.lease_seconds)
        if not self._in_flight.ask(ask.request_id, call):
            return None
        answer: Reservation | Refusal | None = None
        try:
            verdict = self._verdict(lease, ask)
            if verdict.violated:
                answer = refusal(ask.limits, verdict.counts, verdict.violated)
            else:
                taken = reservation(ask, verdict, lease.epoch)
                if time.monotonic() - asked_at > STALL_SECONDS:
                    self._redis.settle(lease, taken, 0)
                else:
                    self._in_flight.granted(ask.request_id, verdict.day)
                    answer = taken
        except (redis.RedisError, OSError, RedisLostEpoch):
            self._leases.failed(lease)
        finally:
            if not isinstance(answer, Reservation):
                self._in_flight.not_granted(ask.request_id, call)
        return answer

    def _verdict(self, lease: RedisLease, ask: Ask) -> Verdict:
        now = self._clock()
        today = now.date()
        minute = None if ask.counted else int(now.timestamp()) // 60
        reading: Reading | None = None
        readings = 0
        while True:
            answer = self._redis.reserve(lease, ask, today, reading, minute)
            minute = None
            if isinstance(answer, Verdict):
                return answer
            if isinstance(answer, NeedsReading):
                readings += 1
                held = self._postgres.held(ask.user_id, ask.feature, today)
                reading = Reading(answer.seen_at, held, accept=readings >= READINGS)
            else:
                today, reading = answer, None

    def _in_postgres(self, ask: Ask) -> Reservation | Refusal | None:
        """None when it is not, or not yet, PostgreSQL's turn."""
        if ask.cached is not None:
            raise AccountStateChanged  # what it rests on lay in Redis and cannot be compared there
        try:
            verdict = self._postgres.reserve(ask)
        except OthersNotReady:
            return None
        if isinstance(verdict, RedisAdmits):
            if isinstance(self._leases, WithoutRedis):
                self._postgres.leave_redis(verdict.epoch)
            return None
        if verdict.violated:
            return refusal(ask.limits, verdict.counts, verdict.violated)
        return reservation(ask, verdict, None)

    def _finish(self, done: Reservation, used: int, *, row_may_be_left: bool, failures: int = 0) -> None:
        # A row that cannot be deleted now stops counting when its lease ends.
        with suppress(LimitsUnavailable):
            if self._in_flight.forget(done.request_id) or row_may_be_left:
                self._postgres.delete(done.request_id)
        lease = self._leases.current()
        if lease is None:
            return
        try:
            self._redis.settle(lease, done, used, failures)
        except (redis.RedisError, OSError, RedisLostEpoch):
            self._leases.failed(lease)


def reservation(ask: Ask, verdict: Verdict, epoch: int | None) -> Reservation:
    policies = policy_states(ask.limits, verdict.counts)
    counts = verdict.counts
    hour = hour_number(counts.now)
    return Reservation(ask.request_id, ask.user_id, ask.feature, verdict.day, hour, policies, counts.used, epoch)
