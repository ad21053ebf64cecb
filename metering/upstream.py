"""How a call to an upstream can fail, for the breaker, the log and the hourly allowance of failures."""

from collections.abc import Mapping
from typing import ClassVar

from metering.breaker import HealthSign
from metering.settle import Outcome
from security.edge.problems import Problem


class UpstreamFailed(Problem):
    """Nothing was delivered, so nothing is charged. `reason` says why, in the row and in the log.

    `outcome`: UNKNOWN for what was sent and not answered, which the upstream may bill.
    """

    health: ClassVar[HealthSign] = HealthSign.UNKNOWN
    outcome: ClassVar[Outcome] = Outcome.FAILED

    def __init__(self, reason: str, *, headers: Mapping[str, str] | None = None, sent: int = 1) -> None:
        """`sent`: how many times the upstream was asked; 0 when the request never left."""
        super().__init__(headers=headers)
        self.reason = reason
        self.sent = sent
