"""What a metered call asks for before it is made, and what it gets: reserved first, then settled or released.

A reservation is named by its request id, so that each step may be repeated: it is taken once, and it goes once.

What is made anew for each call is not frozen, here and in the modules above: frozen fields cost three times as much to set,
and a call has seventy. Nobody changes one all the same.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from auth.principal import CachedFields
from metering.windows import Window
from security.edge.problems import Problem, retry_after

CALL = "call"
"""The unit of calls. Every metered call draws one; other units (tokens, millionths of money, seconds) come beside it."""
TOKENS = "token"
"""The unit of a model's tokens."""
SECONDS = "second"
"""The unit of recordings."""
FAILURE = "failure"
"""The unit of calls that reached an upstream and brought nothing. They cost the user nothing, so an hour has only so many."""
MICROSECONDS = 1_000_000
RESET_JITTER_SECONDS = 30.0
CONCURRENCY_RETRY_SECONDS = 1.0
BURST, CONCURRENCY, FAILURES = "burst", "concurrency", "failures"


@dataclass(frozen=True, slots=True)
class Burst:
    """How many calls may come in quick succession."""

    calls: int
    seconds: int

    @property
    def interval(self) -> int:
        """Microseconds after which one call of the burst comes back (GCRA's emission interval)."""
        return self.seconds * MICROSECONDS // self.calls


@dataclass(slots=True)
class PolicyState:
    """One policy after this answer. `window_seconds` is 0 for concurrency, which has no window."""

    name: str
    limit: int
    remaining: int
    reset_seconds: float
    window_seconds: int
    unit: str = CALL


@dataclass(frozen=True, slots=True)
class Draw:
    """What one call takes from one counter: what is left of it, but at least `at_least` and at most `at_most`.

    `policy` names the limit in the answer's headers. `counter` is the feature, or another name for a purse that several
    features share. `allowed` is the most that the counter may reach in this window; None for no limit. `refused` makes the
    answer to a call that finds too little left; by default it is the 429 of a plan's limit.
    """

    policy: str
    counter: str
    unit: str
    window: Window
    allowed: int | None
    at_least: int = 1
    at_most: int = 1
    refused: Callable[[PolicyState, datetime], Problem] | None = None


@dataclass(slots=True)
class Ask:
    """One call that wants to be made. The first of `draws` is the call itself.

    `concurrency`: calls of this feature that the user may have at once. `failures_per_hour`: how many may have failed in
    `hour`; None for no limit. `lease_seconds` must be longer than the call and its settling can take, unless it is extended
    while it runs. `in_postgres`: reserved there, though it may draw nothing but itself.
    """

    request_id: UUID
    user_id: UUID
    feature: str
    draws: tuple[Draw, ...]
    hour: Window
    burst: Burst
    concurrency: int
    failures_per_hour: int | None
    cached: CachedFields | None
    lease_seconds: float
    in_postgres: bool = False

    def __post_init__(self) -> None:
        first = self.draws[0]
        if first.unit != CALL or first.counter != self.feature:
            raise ValueError("The first draw of a call is the call itself, of its own feature")

    @property
    def only_counts(self) -> bool:
        """True for a call that Redis may answer for."""
        return len(self.draws) == 1 and not self.in_postgres


@dataclass(slots=True)
class Reservation:
    """Leave to make one call. `amounts` are what was granted of each draw, in their order."""

    ask: Ask
    amounts: tuple[int, ...]
    policies: tuple[PolicyState, ...]
    in_postgres: bool

    @property
    def leaves_a_row(self) -> bool:
        """True when a job notes the call as abandoned, unless it was noted or released before its lease ended."""
        return self.in_postgres and not self.ask.only_counts


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing was taken, from any policy. `violated` names the policies that refused, in the order of `policies`."""

    violated: tuple[str, ...]
    policies: tuple[PolicyState, ...]
    retry_after_seconds: float


class AccountStateChanged(Exception):
    """What the caller's permission rested on has changed or cannot be checked here, or the general limit may be reached:
    authenticate again, then ask again.
    """


class LimitsUnavailable(Problem):
    """PostgreSQL cannot be asked. The call is not made, because nobody could count it."""

    status, error, title = 503, "limits_unavailable", "Usage limits cannot be checked right now"

    def __init__(self, seconds: float = 2) -> None:
        super().__init__(headers=retry_after(seconds))


@dataclass(slots=True)
class Standing:
    """The figures that an answer rests on. `used` and `held` by draw; `held` is in flight, other calls and this one.

    `burst_tat` and `now` are microseconds since 1970 by the backend's clock.
    """

    used: tuple[int, ...]
    held: tuple[int, ...]
    in_flight: int
    burst_tat: int
    now: int


@dataclass(slots=True)
class Verdict:
    """What a backend decided. `violated` names policies; none when the call was reserved. `amounts` were granted, by draw."""

    violated: frozenset[str]
    amounts: tuple[int, ...]
    standing: Standing


def policy_states(ask: Ask, standing: Standing) -> tuple[PolicyState, ...]:
    """What is left of each policy. A draw without a limit has none."""
    interval = ask.burst.interval
    backlog = max(0, standing.burst_tat - standing.now)
    counted = [
        PolicyState(
            draw.policy,
            draw.allowed,
            max(0, draw.allowed - used - held),
            draw.window.seconds_left(standing.now / MICROSECONDS),
            draw.window.seconds,
            draw.unit,
        )
        for draw, used, held in zip(ask.draws, standing.used, standing.held, strict=True)
        if draw.allowed is not None
    ]
    burst = PolicyState(
        BURST,
        ask.burst.calls,
        min(ask.burst.calls, max(0, (interval * ask.burst.calls - backlog) // interval)),
        backlog / MICROSECONDS,
        ask.burst.seconds,
    )
    concurrency = PolicyState(
        CONCURRENCY,
        ask.concurrency,
        max(0, ask.concurrency - standing.in_flight),
        CONCURRENCY_RETRY_SECONDS if standing.in_flight else 0.0,
        0,
    )
    return (*counted, burst, concurrency)


def refusal(ask: Ask, standing: Standing, violated: frozenset[str]) -> Refusal:
    """`violated`: names of policies."""
    if FAILURES in violated and ask.failures_per_hour is not None:
        left = ask.hour.seconds_left(standing.now / MICROSECONDS)
        failures = PolicyState(FAILURES, ask.failures_per_hour, 0, left, ask.hour.seconds)
        return Refusal((FAILURES,), (failures,), max(1.0, left))
    policies = policy_states(ask, standing)
    waits: dict[str, float] = {}
    for policy in policies:
        if policy.name not in violated:
            continue
        if policy.name == BURST:
            behind = standing.burst_tat + ask.burst.interval * (1 - ask.burst.calls) - standing.now
            waits[BURST] = behind / MICROSECONDS
        elif policy.name == CONCURRENCY:
            waits[CONCURRENCY] = CONCURRENCY_RETRY_SECONDS
        else:
            # Jitter after the window, never before its end: all refused clients would come back in the same second.
            waits[policy.name] = policy.reset_seconds + random.uniform(0, RESET_JITTER_SECONDS)  # noqa: S311
    return Refusal(tuple(waits), policies, max([1.0, *waits.values()]))
