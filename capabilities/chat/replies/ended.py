"""How a reply ended, as its readers are told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from capabilities.chat.conversations.bodies import ReplyUsage
from capabilities.chat.models import MessageState
from capabilities.chat.replies.bodies import LeftToday, ReplyEnd
from providers.problems import (
    CallStopped,
    ContentRefused,
    ProviderBusy,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderTimedOut,
)
from security.edge.problems import Problem, retry_after

SHUTDOWN: Final = "shutdown"
"""The error code of a reply that the server stopped because it had to stop itself."""


class ReplyInterrupted(Problem):
    """The process that generated it died. What it had written is kept, and nothing is charged."""

    status, error, title = 503, "reply_interrupted", "The reply was interrupted. You were not charged. Regenerate it"

    def __init__(self) -> None:
        super().__init__(headers=retry_after(1))


@dataclass(frozen=True)
class Ended:
    """`problem` of a reply that failed. `remaining` is known to those who followed it in the process that generated it."""

    state: MessageState
    model: str = ""
    finish_reason: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    estimated: bool = False
    retryable: bool = False
    remaining: LeftToday | None = None
    problem: Problem | None = None

    def told(self) -> ReplyEnd:
        return ReplyEnd(
            state="stopped" if self.state is MessageState.STOPPED else "complete",
            finish_reason=self.finish_reason,
            retryable=self.retryable,
            model=self.model,
            usage=ReplyUsage(
                input_tokens=self.input_tokens, output_tokens=self.output_tokens, estimated=self.estimated
            ),
            cost_cents=0,
            remaining=self.remaining,
        )


FAILURES: Final[Mapping[str, Callable[[], Problem]]] = MappingProxyType(
    {
        ProviderTimedOut.error: ProviderTimedOut,
        ProviderMisconfigured.error: lambda: ProviderMisconfigured("as_stored"),
        ProviderBusy.error: lambda: ProviderBusy(None),
        ContentRefused.error: lambda: ContentRefused("as_stored"),
        CallStopped.error: CallStopped,
        ProviderFailed.error: lambda: ProviderFailed("as_stored"),
        ReplyInterrupted.error: ReplyInterrupted,
    }
)
"""By the code that is stored with a reply that failed. Headers of then are not kept."""


def failure_named(error_code: str | None) -> Problem:
    return FAILURES.get(error_code or "", ReplyInterrupted)()
