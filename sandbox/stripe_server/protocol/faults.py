"""Trouble on demand: what Stripe does rarely and a caller must survive always."""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

LOST_ANSWER_SECONDS = 0.05


class Trouble(StrEnum):
    """`LOST_ANSWER`: the work is done, the connection then closes. `STALL`: as that, after a long silence.

    `SLOW`: the answer comes, and by then it may be out of date.
    """

    SERVER_ERROR = "server_error"
    RATE_LIMIT = "rate_limit"
    LOCK_TIMEOUT = "lock_timeout"
    RESET = "reset"
    LOST_ANSWER = "lost_answer"
    STALL = "stall"
    SLOW = "slow"


@dataclass(frozen=True)
class Fault:
    """`remembered`: the error is kept under the request's idempotency key and repeated, as Stripe does with errors that
    came while the work was being done."""

    trouble: Trouble
    under: str
    verb: str | None
    remembered: bool = False
    stall_seconds: float = LOST_ANSWER_SECONDS


@dataclass
class Faults:
    """Each fault is used up by one request; further requests are answered truthfully."""

    _waiting: deque[Fault] = field(default_factory=deque)

    def add(
        self,
        trouble: Trouble,
        *,
        times: int = 1,
        under: str = "/v1/",
        verb: str | None = None,
        remembered: bool = False,
        stall_seconds: float = LOST_ANSWER_SECONDS,
    ) -> None:
        """For the next requests whose path begins with `under`, of that verb or any."""
        self._waiting.extend([Fault(trouble, under, verb, remembered, stall_seconds)] * times)

    def next_for(self, verb: str, path: str) -> Fault | None:
        for fault in list(self._waiting):
            if path.startswith(fault.under) and fault.verb in {None, verb}:
                self._waiting.remove(fault)
                return fault
        return None

    @property
    def waiting(self) -> int:
        """How many have not been used up."""
        return len(self._waiting)

    def clear(self) -> None:
        self._waiting.clear()
