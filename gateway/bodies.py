"""What the gateway's routes take and answer."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from auth.tiers import Tier
from metering.breaker import BreakerState
from security.api.models import AnswerBody, Body
from security.api.typed_text import NOT_BLANK, SEEN


class PredictionOptions(Body):
    enhanced_grounding: bool = False
    confidence_level: Literal["low", "medium", "high"] = "medium"


class PredictionBody(Body):
    """Lengths count characters."""

    goal: Annotated[str, Field(min_length=10, max_length=5000, json_schema_extra={"pattern": SEEN}), NOT_BLANK]
    timeframe: Annotated[str, Field(min_length=1, max_length=100, json_schema_extra={"pattern": SEEN}), NOT_BLANK]
    context: Annotated[str, Field(max_length=1000)] = ""
    options: PredictionOptions = PredictionOptions()


class PredictionMetadata(AnswerBody):
    request_id: str
    user_tier: Tier
    response_time_ms: int
    predictions_remaining_today: Annotated[int, Field(ge=-1, description="-1 when your plan has no daily limit")]


class PredictionAnswer(AnswerBody):
    """The private server's result, unchanged, with `metadata` added."""

    model_config = ConfigDict(extra="allow", frozen=True)

    metadata: PredictionMetadata


class PolicyUsage(AnswerBody):
    limit: int
    remaining: int
    window_seconds: int


class UsageAnswer(AnswerBody):
    """`used` counts delivered predictions. `remaining` also excludes those in flight. Null means unlimited."""

    tier: Tier
    date: date
    used: int
    limit: int | None
    remaining: int | None
    resets_at: datetime
    burst: PolicyUsage | None
    concurrency: PolicyUsage | None


class HealthStatus(StrEnum):
    UP = "up"
    DEGRADED = "degraded"
    """It answers the probe, but predictions failed a moment ago."""
    DOWN = "down"
    UNKNOWN = "unknown"


class PrivateHealthAnswer(AnswerBody):
    status: HealthStatus
    checked_at: datetime | None
    latency_ms: int | None
    breaker: BreakerState
