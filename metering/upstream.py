"""How a call to an upstream can fail, for the breaker, the log and the hourly allowance of failures."""

from typing import ClassVar

from metering.breaker import HealthSign
from security.problems import Problem


class UpstreamFailed(Problem):
    """Nothing was delivered, so nothing is charged. `reason` says why, in the row and in the log."""

    health: ClassVar[HealthSign] = HealthSign.UNKNOWN
    reached: ClassVar[bool] = True
    """Whether the upstream had work with it."""

    def __init__(self, reason: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(headers=headers)
        self.reason = reason
