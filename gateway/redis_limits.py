"""Limits in Redis: one script takes a call from all policies, another gives it back or counts it."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import UUID

from auth.general_limit import count_key
from database.redis_lease import RedisLease
from database.redis_script import Script, ScriptRunner
from gateway.limits import (
    MICROSECONDS,
    AccountStateChanged,
    Ask,
    Counts,
    Reservation,
    burst_interval,
    day_number,
    day_of,
)

RESERVE = Script(Path(__file__).with_name("reserve.lua"))
SETTLE = Script(Path(__file__).with_name("settle.lua"))

ANOTHER_EPOCH = -1
STATE_CHANGED = -2
ANOTHER_DAY = -3


class RedisLostEpoch(Exception):
    """The epoch's sentinel is gone: the server was emptied, so its counts cannot be believed."""


@dataclass(frozen=True, slots=True)
class HeldInPostgres:
    """What PostgreSQL says of one user and day: calls used, failures of the present hour (counted since 1970), and its
    reservations as script members with ms left.
    """

    used: int
    hour: int
    failed: int
    reservations: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class NeedsReading:
    """The script must be told what PostgreSQL holds, read after this moment (ms by the server's clock)."""

    seen_at: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """`violated` is a bit set: 1 day, 2 burst, 4 concurrency, 8 failures; 0 when the call was reserved."""

    violated: int
    day: date
    counts: Counts


@dataclass(frozen=True, slots=True)
class Reading:
    """`accept`: take the reading even when it looks older than what Redis knows."""

    seen_at: int
    held: HeldInPostgres
    accept: bool


class RedisLimits:
    """Stateless but for the connections of the present epoch."""

    def __init__(self) -> None:
        self._runner: tuple[RedisLease, ScriptRunner] | None = None

    def reserve(
        self, lease: RedisLease, ask: Ask, today: date, reading: Reading | None, minute: int | None = None
    ) -> Verdict | NeedsReading | date:
        """A date means: Redis has another day; ask again with that one. `minute`: in which the request is to be counted too.

        Raises AccountStateChanged and RedisLostEpoch.
        """
        limits, cached = ask.limits, ask.cached
        interval = burst_interval(limits)
        keys = keys_of(lease, ask.user_id, ask.feature, day_number(today))
        tail: tuple[str | int, ...] = (-1, 0)
        if cached is not None:
            keys += (cached.key,)
            requests = -1
            if minute is not None and limits.requests_per_minute is not None:
                keys += (count_key(lease, ask.user_id, minute),)
                requests = limits.requests_per_minute
            tail = (requests, len(cached.fields), *cached.fields, *cached.values)
        if reading is not None:
            held = reading.held
            tail += (int(reading.accept), reading.seen_at, held.used, held.hour, held.failed)
            for member in held.reservations:
                tail += member
        answer = self._run_on(lease).run(
            RESERVE,
            len(keys),
            *keys,
            day_number(today),
            ask.request_id.hex,
            round(ask.lease_seconds * 1000),
            -1 if limits.per_day is None else limits.per_day,
            interval,
            interval * limits.burst,
            limits.concurrency,
            -1 if ask.failures_allowed is None else ask.failures_allowed,
            *tail,
        )
        code = answer[0]
        if code >= 0:
            _, violated, used, day_in_flight, in_flight, tat, now, day = answer
            return Verdict(violated, day_of(day), Counts(used, day_in_flight, in_flight, tat, now))
        if code == ANOTHER_EPOCH:
            raise RedisLostEpoch
        if code == STATE_CHANGED:
            raise AccountStateChanged
        return day_of(answer[1]) if code == ANOTHER_DAY else NeedsReading(answer[1])

    def settle(self, lease: RedisLease, done: Reservation, used: int, failures: int = 0) -> None:
        """Remove a reservation. `used` is 0 for a call that was released; `failures` of its hour, when it failed.

        Raises RedisLostEpoch and redis.RedisError.
        """
        day = day_number(done.day)
        keys = keys_of(lease, done.user_id, done.feature, day)[:3]
        answer = self._run_on(lease).run(SETTLE, 3, *keys, day, done.request_id.hex, used, done.hour, failures)
        if answer == ANOTHER_EPOCH:
            raise RedisLostEpoch

    def in_flight(self, lease: RedisLease, user_id: UUID, feature: str, today: date) -> tuple[int, int, int]:
        """Calls that only Redis holds, of today and of any day, and the burst clock (microseconds).

        Without those whose lease is over: the next reservation removes them.
        """
        _, _, held_key, burst_key = keys_of(lease, user_id, feature, day_number(today))
        with lease.client.pipeline(transaction=False) as pipeline:
            pipeline.time()
            pipeline.zrange(held_key, 0, -1, withscores=True)
            pipeline.get(burst_key)
            (seconds, microseconds), held, tat = pipeline.execute()
        now_ms = (seconds * MICROSECONDS + microseconds) // 1000
        own = [member for member, lease_end in held if not member.endswith(b":p") and lease_end > now_ms]
        prefix = f"{day_number(today)}:".encode()
        return sum(member.startswith(prefix) for member in own), len(own), int(tat or 0)

    def _run_on(self, lease: RedisLease) -> ScriptRunner:
        held = self._runner
        if held is None or held[0] is not lease:
            held = self._runner = (lease, ScriptRunner(lease.client))
        return held[1]


def keys_of(lease: RedisLease, user_id: UUID, feature: str, day: int) -> tuple[str, ...]:
    """The epoch's sentinel; then of this user: the day's counter, the calls in flight, the burst clock."""
    prefix, user = lease.prefix, user_id.hex
    return (
        f"{prefix}epoch",
        f"{prefix}q:{feature}:{day}:{user}",
        f"{prefix}r:{feature}:{user}",
        f"{prefix}g:{feature}:{user}",
    )


def today_of(microseconds: int) -> date:
    return day_of(microseconds // (86_400 * MICROSECONDS))
