"""What the gateway asks before a metered call, and what it says afterwards. Every call is reserved, then settled or released.

A reservation is named by its request id, so that each step may be repeated: it is taken once, and it goes once.
"""

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Protocol
from uuid import UUID

from auth.principal import CachedFields
from gateway.plan_limits import PlanLimits
from security.problems import Problem, retry_after

MICROSECONDS = 1_000_000
DAY_SECONDS = 86_400
HOUR_SECONDS = 3_600
EPOCH_DAY = date(1970, 1, 1)
RESET_JITTER_SECONDS = 30.0
CONCURRENCY_RETRY_SECONDS = 1.0
FAILURES = "failures"


@dataclass(frozen=True, slots=True)
class Ask:
    """One call that wants to be made. `lease_seconds` must be longer than the call and its settling can take.

    `counted`: the request is in the user's count of requests a minute already. `unrecorded_failures`: those of this hour that
    only this process knows.
    """

    request_id: UUID
    user_id: UUID
    feature: str
    limits: PlanLimits
    cached: CachedFields | None
    lease_seconds: float
    counted: bool = True
    unrecorded_failures: int = 0

    @property
    def failures_allowed(self) -> int | None:
        """How many PostgreSQL may know of; None for no limit."""
        allowed = self.limits.failures_per_hour
        return None if allowed is None else max(0, allowed - self.unrecorded_failures)


@dataclass(frozen=True, slots=True)
class PolicyState:
    """One policy after this answer. `window_seconds` is 0 for concurrency, which has no window."""

    name: str
    limit: int
    remaining: int
    reset_seconds: float
    window_seconds: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """Leave to make one call. `used_today` does not count this call, nor others that are still in flight.

    `day` and `hour` (counted since 1970) are the windows that the call belongs to, whenever it ends.
    """

    request_id: UUID
    user_id: UUID
    feature: str
    day: date
    hour: int
    policies: tuple[PolicyState, ...]
    used_today: int | None
    epoch: int | None = field(default=None, repr=False)
    """The Redis epoch that holds it; None when PostgreSQL holds it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing was taken, from any policy. `violated` names the policies that refused, in the order of `policies`."""

    violated: tuple[str, ...]
    policies: tuple[PolicyState, ...]
    retry_after_seconds: float
    used_today: int


class AccountStateChanged(Exception):
    """What the caller's permission rested on has changed or cannot be checked here, or the general limit may be reached:
    authenticate again, then ask again.
    """


class LimitsUnavailable(Problem):
    """The limits cannot be judged exactly right now. The call is not made, because a guess could exceed the limit."""

    status, error, title = 503, "limits_unavailable", "Usage limits cannot be checked right now"

    def __init__(self, seconds: float = 2) -> None:
        super().__init__(headers=retry_after(seconds))


class Limits(Protocol):
    def reserve(self, ask: Ask) -> Reservation | Refusal:
        """Take one call from every policy, or nothing from any. Raises AccountStateChanged and LimitsUnavailable."""

    def held_in_postgres(self, reservation: Reservation) -> bool:
        """Must the settling transaction delete the row of `usage_reservations`? Ask inside that transaction."""

    def settled(self, reservation: Reservation, used: int) -> None:
        """Say, after the commit, that the call was counted; `used` is what the counter's update returned. Never raises."""

    def release(self, reservation: Reservation) -> None:
        """Give the call back, because nothing was delivered. The burst is not given back. Never raises."""

    def failed(self, reservation: Reservation, recorded: int | None, times: int = 1) -> None:
        """Give the call back, which reached the private server so many times and brought nothing. Never raises.

        `recorded`: the user's failures of that hour with this one, as PostgreSQL says after the commit; None when it was not
        written, then this process remembers it.
        """

    def usage(self, user_id: UUID, feature: str, limits: PlanLimits) -> tuple[PolicyState, ...]:
        """The policies as they stand, nothing taken. Raises LimitsUnavailable when PostgreSQL cannot be read."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The figures that every backend answers with. Times are microseconds since 1970 by the backend's own clock."""

    used: int
    day_in_flight: int
    in_flight: int
    burst_tat: int
    now: int


def burst_interval(limits: PlanLimits) -> int:
    """Microseconds after which one call of the burst comes back (GCRA's emission interval)."""
    return limits.burst_seconds * MICROSECONDS // limits.burst


def policy_states(limits: PlanLimits, counts: Counts) -> tuple[PolicyState, ...]:
    """What is left of each policy. A plan without a daily limit has no `day` policy."""
    interval = burst_interval(limits)
    backlog = max(0, counts.burst_tat - counts.now)
    burst = PolicyState(
        "burst",
        limits.burst,
        min(limits.burst, max(0, (interval * limits.burst - backlog) // interval)),
        backlog / MICROSECONDS,
        limits.burst_seconds,
    )
    concurrency = PolicyState(
        "concurrency",
        limits.concurrency,
        max(0, limits.concurrency - counts.in_flight),
        CONCURRENCY_RETRY_SECONDS if counts.in_flight else 0.0,
        0,
    )
    if limits.per_day is None:
        return (burst, concurrency)
    left = max(0, limits.per_day - counts.used - counts.day_in_flight)
    return (PolicyState("day", limits.per_day, left, until_midnight(counts.now), DAY_SECONDS), burst, concurrency)


def refusal(limits: PlanLimits, counts: Counts, violated: int) -> Refusal:
    """`violated` is the backends' bit set: 1 day, 2 burst, 4 concurrency, 8 failures, of which the others need not be known."""
    if violated & 8 and limits.failures_per_hour is not None:
        left = until_next_hour(counts.now)
        failures = PolicyState(FAILURES, limits.failures_per_hour, 0, left, HOUR_SECONDS)
        return Refusal((FAILURES,), (failures,), left, counts.used)
    waits: dict[str, float] = {}
    if violated & 1:
        # Jitter after midnight, never before: all refused clients would come back in the same second.
        waits["day"] = until_midnight(counts.now) + random.uniform(0, RESET_JITTER_SECONDS)  # noqa: S311
    if violated & 2:
        interval = burst_interval(limits)
        waits["burst"] = (
            max(counts.burst_tat, counts.now) + interval - interval * limits.burst - counts.now
        ) / MICROSECONDS
    if violated & 4:
        waits["concurrency"] = CONCURRENCY_RETRY_SECONDS
    return Refusal(tuple(waits), policy_states(limits, counts), max(1.0, *waits.values()), counts.used)


def until_midnight(now: int) -> float:
    """Seconds to the end of the UTC day of `now` (microseconds)."""
    return (DAY_SECONDS * MICROSECONDS - now % (DAY_SECONDS * MICROSECONDS)) / MICROSECONDS


def until_next_hour(now: int) -> float:
    """Seconds to the end of the UTC hour of `now` (microseconds)."""
    return (HOUR_SECONDS * MICROSECONDS - now % (HOUR_SECONDS * MICROSECONDS)) / MICROSECONDS


def hour_number(now: int) -> int:
    """Hours since 1970 at `now` (microseconds)."""
    return now // (HOUR_SECONDS * MICROSECONDS)


def hour_name(number: int) -> str:
    """The window's name in PostgreSQL: `2026-11-29T17`."""
    day, hour = divmod(number, 24)
    return f"{day_of(day)}T{hour:02}"


def day_number(day: date) -> int:
    """Days since 1970, as the scripts count them."""
    return (day - EPOCH_DAY).days


def day_of(number: int) -> date:
    return EPOCH_DAY + timedelta(days=number)
