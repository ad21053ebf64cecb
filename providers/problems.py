"""How a call to a provider can fail, as the client is told. Nothing that the provider wrote is passed on."""

from collections.abc import Mapping

from metering.breaker import HealthSign
from metering.settle import Outcome
from metering.upstream import UpstreamFailed
from security.edge.problems import retry_after

SHORTEST_RETRY, LONGEST_RETRY = 1, 300


class ProviderFailed(UpstreamFailed):
    """It answered with what cannot be used. `cost_micros`: what the call may have cost us, for the log. `begun`: some of a
    streamed reply had come.
    """

    status, error, title = 502, "provider_failed", "The AI provider did not return a usable answer"

    def __init__(
        self, reason: str, *, headers: Mapping[str, str] | None = None, sent: int = 1, cost_micros: int = 0
    ) -> None:
        super().__init__(reason, headers=headers, sent=sent)
        self.cost_micros = cost_micros
        self.begun = False


class ProviderBroke(ProviderFailed):
    """5xx, or the connection was lost before the answer was complete."""

    health = HealthSign.BAD


class ProviderUnreachable(ProviderFailed):
    """Nothing was sent."""

    health = HealthSign.UNREACHABLE
    status, error, title = 503, "service_unavailable", "The AI provider cannot be reached right now"

    def __init__(self, reason: str) -> None:
        super().__init__(reason, headers=retry_after(2), sent=0)


class ProviderTimedOut(ProviderFailed):
    """It was sent, and not answered in time. The provider may go on with it, and bill it."""

    health = HealthSign.BAD
    outcome = Outcome.UNKNOWN
    status, error, title = 504, "request_timeout", "The AI provider took too long to respond"

    def __init__(self, *, cost_micros: int = 0) -> None:
        super().__init__("timeout", cost_micros=cost_micros)


class CallStopped(ProviderFailed):
    """This process ends. What was sent may be billed."""

    outcome = Outcome.UNKNOWN
    status, error, title = 503, "service_unavailable", "The server is restarting. Try again in a moment"

    def __init__(self, *, sent: int = 1, cost_micros: int = 0) -> None:
        super().__init__("stopped", headers=retry_after(2), sent=sent, cost_micros=cost_micros)


class ProviderMisconfigured(ProviderFailed):
    """Our key, our account there or the model's name is wrong, which is ours to repair and no fault of the client's."""

    health = HealthSign.GOOD
    status, error, title = (
        502,
        "provider_misconfigured",
        "The AI provider does not accept our settings. We have been told",
    )


class ProviderBusy(ProviderFailed):
    """The provider's own limit, not the client's."""

    health = HealthSign.GOOD
    status, error, title = 429, "service_busy", "The AI provider is busy"

    def __init__(self, seconds: str | None) -> None:
        wanted = int(seconds) if seconds and seconds.isascii() and seconds.isdigit() and len(seconds) < 10 else 5
        super().__init__("status_429", headers=retry_after(min(max(wanted, SHORTEST_RETRY), LONGEST_RETRY)))


class ContentRefused(ProviderFailed):
    health = HealthSign.GOOD
    status, error, title = 422, "content_refused", "The AI provider refused this content. You were not charged"


class RecordingRefused(ProviderFailed):
    health = HealthSign.GOOD
    status, error, title = (
        422,
        "recording_refused",
        "The AI provider could not read this recording. You were not charged",
    )


class NothingHeard(ProviderFailed):
    health = HealthSign.GOOD
    status, error, title = 422, "nothing_heard", "There are no words in this recording. You were not charged"


class KeyRejected(ProviderFailed):
    """A key that the caller handed in. It says nothing of the provider."""

    health = HealthSign.GOOD
    status, error, title = 422, "provider_key_rejected", "The AI provider does not accept your key"


class CreditExhausted(ProviderFailed):
    """Of the account that the caller's key belongs to."""

    health = HealthSign.GOOD
    status, error, title = (
        402,
        "provider_credit_exhausted",
        "Your account with the AI provider has no credit left. You were not charged here",
    )


class ModelNotUsable(ProviderFailed):
    """A model that the caller may have named."""

    health = HealthSign.GOOD
    status, error, title = 422, "model_not_usable", "The AI provider cannot answer this request with this model"


class ModelUnavailable(ProviderFailed):
    """Nobody serves the model now. It says nothing of other models."""

    status, error, title = 503, "service_unavailable", "This AI model is not available right now"

    def __init__(self, reason: str) -> None:
        super().__init__(reason, headers=retry_after(5))


PROVIDER_PROBLEMS: tuple[type[ProviderFailed], ...] = (
    ProviderFailed,
    ProviderUnreachable,
    ProviderTimedOut,
    CallStopped,
    ProviderMisconfigured,
    ProviderBusy,
    ContentRefused,
)
