"""How a call to the private server can fail, as the client is told. Nothing that the private server wrote is passed on."""

from metering.breaker import HealthSign
from metering.upstream import UpstreamFailed
from security.edge.problems import retry_after

SHORTEST_RETRY, LONGEST_RETRY = 1, 300


class PrivateServerFailed(UpstreamFailed):
    status, error, title = 502, "prediction_failed", "The prediction service did not return a usable answer"

    def __init__(self, reason: str, *, retry_seconds: float | None = None) -> None:
        super().__init__(reason, headers=retry_after(retry_seconds) if retry_seconds is not None else None, sent=0)


class PredictionFailed(PrivateServerFailed):
    """The answer was too large, not signed as it must be, or no JSON object."""


class PrivateServerBroke(PredictionFailed):
    """5xx, or the connection was lost before the answer was complete."""

    health = HealthSign.BAD


class PrivateServerUnreachable(PrivateServerFailed):
    health = HealthSign.UNREACHABLE
    status, error, title = 503, "service_unavailable", "The prediction service cannot be reached right now"

    def __init__(self, reason: str) -> None:
        super().__init__(reason, retry_seconds=2)


class PrivateServerTimedOut(PrivateServerFailed):
    health = HealthSign.BAD
    status, error, title = 504, "request_timeout", "The prediction service took too long to respond"

    def __init__(self) -> None:
        super().__init__("timeout")


class SignatureNotAccepted(PrivateServerFailed):
    """401 or 403: keys or clocks differ, which is ours to repair and none of the client's credentials."""

    health = HealthSign.GOOD
    status, error, title = 502, "request_failed", "The prediction service refused the request"


class PrivateServerBusy(PrivateServerFailed):
    """The private server's own limit, not the client's."""

    health = HealthSign.GOOD
    status, error, title = 429, "service_busy", "The prediction service is busy"

    def __init__(self, seconds: str | None) -> None:
        wanted = int(seconds) if seconds and seconds.isascii() and seconds.isdigit() and len(seconds) < 10 else 5
        super().__init__("status_429", retry_seconds=min(max(wanted, SHORTEST_RETRY), LONGEST_RETRY))


class PredictionRefused(PrivateServerFailed):
    """400 or 422: the private server cannot answer this goal."""

    health = HealthSign.GOOD
    status, error, title = 422, "prediction_refused", "The prediction service cannot answer this request"


PRIVATE_SERVER_PROBLEMS: tuple[type[PrivateServerFailed], ...] = (
    PredictionFailed,
    PrivateServerUnreachable,
    PrivateServerTimedOut,
    SignatureNotAccepted,
    PrivateServerBusy,
    PredictionRefused,
)
