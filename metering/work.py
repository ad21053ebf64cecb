"""What a feature says of one of its calls before it is made."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from auth.principal import Caller
from metering.limits import Burst, Draw
from security.edge.problems import Problem


class NotInPlan(Problem):
    """The caller's plan does not have what was asked for. Nothing was reserved."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a caller's plan allows of one feature now.

    `failures_per_hour`: calls that may reach the upstream in vain; None for no limit. `shed_from`: the share of all slots from
    which the caller is turned away. `price_micros`: what a call costs that is reserved now. `in_postgres`: reserved there, as
    everything is that draws an amount. A feature that only counts calls may ask for it, so that what a killed process was at
    leaves a row.
    """

    draws: tuple[Draw, ...]
    burst: Burst
    concurrency: int
    failures_per_hour: int | None
    shed_from: float
    price_micros: int = 0
    in_postgres: bool = False

    def __post_init__(self) -> None:
        if len(self.draws) > 1:
            object.__setattr__(self, "in_postgres", True)


@dataclass(slots=True)
class Work:
    """What is special about one call of a feature.

    `noun` is what its calls are called, in the plural. `fingerprint` stands for the request: equal requests have equal ones.
    `allowance` says what a caller may use, or raises NotInPlan.
    """

    feature: str
    noun: str
    route: str
    fingerprint: str
    idempotency_key: str | None
    lease_seconds: float
    allowance: Callable[[Caller, datetime], Allowance]
