"""Predictions of the private server, the first capability."""

from typing import TYPE_CHECKING

from gateway.plan_limits import FEATURE, PREDICT_LIMITS
from gateway.settings import PredictSection
from metering.capability import Capability

if TYPE_CHECKING:
    from metering.parts import Built, Parts


def _build(parts: "Parts", settings: PredictSection) -> "Built":
    from gateway.assembly import build_predict  # noqa: PLC0415 - nothing of it is loaded while it is off

    return build_predict(parts, settings)


PREDICT = Capability(
    name=FEATURE,
    title="Predictions from the private server, and how many you have left.",
    settings=PredictSection,
    scopes={FEATURE: "Make predictions."},
    limits={tier: {FEATURE: limits} for tier, limits in PREDICT_LIMITS.items()},
    build=_build,
)
