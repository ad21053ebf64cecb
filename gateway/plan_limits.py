"""What one plan may use. The numbers themselves stand in the plan table of the configuration."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PlanLimits:
    """Limits of one tier.

    `per_day`: predictions a UTC day, None for no limit. `burst` in `burst_seconds`: how many may come in
    quick succession. `concurrency`: calls in flight at once for one user. `shed_from`: the share (0 to 1) of
    the process's call slots in use from which this tier is turned away, so that higher tiers keep room.
    `features`: options that the tier may ask for. `failures_per_hour`: how many calls of one UTC hour may reach the private
    server and bring no prediction, which costs nothing; None for no limit.
    """

    per_day: int | None
    burst: int
    burst_seconds: int
    concurrency: int
    shed_from: float
    features: frozenset[str]
    failures_per_hour: int | None = None
