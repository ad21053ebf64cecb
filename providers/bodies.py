"""What the routes of this package answer."""

from datetime import datetime
from enum import StrEnum

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
    """`mock`: no provider is called at all."""

    name: str
    status: ProviderStatus
    breaker: BreakerState
    mock: bool
    checked_at: datetime | None


class ProvidersAnswer(AnswerBody):
    """As the process knows them that answers."""

    providers: list[ProviderHealthAnswer]
