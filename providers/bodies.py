"""What the routes of this package answer."""

from datetime import datetime
from enum import StrEnum
from typing import Self

from metering.breaker import BreakerState
from security.api.models import AnswerBody


class ProviderStatus(StrEnum):
    UP = "up"
    DEGRADED = "degraded"
    """A call failed a moment ago, or it is being tried again."""
    DOWN = "down"
    """It does not answer, or so many calls failed that none are made for a while."""
    MISCONFIGURED = "misconfigured"
    """It refuses our key or does not know our model."""
    UNKNOWN = "unknown"


class ProviderHealthAnswer(AnswerBody):
    """`configured`: it has a key, or is the mock, which calls nobody. `latency_ms`: how long it took to answer last; of a streamed
    reply, to begin to.
    """

    name: str
    configured: bool
    status: ProviderStatus
    breaker: BreakerState
    mock: bool
    checked_at: datetime | None
    latency_ms: int | None

    @classmethod
    def of_none(cls, name: str) -> Self:
        """Of a provider that is not set up."""
        return cls(
            name=name,
            configured=False,
            status=ProviderStatus.UNKNOWN,
            breaker=BreakerState.CLOSED,
            mock=False,
            checked_at=None,
            latency_ms=None,
        )


class ProvidersAnswer(AnswerBody):
    """As the process knows them that answers."""

    providers: list[ProviderHealthAnswer]
