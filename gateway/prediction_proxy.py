"""Make a prediction: what is special about it among metered calls (metering.metered_calls owns their order)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial

import orjson

from auth.principal import Caller
from auth.tiers import Tier
from gateway.plan_limits import ENHANCED_GROUNDING, FEATURE, PlanLimits
from gateway.private_server.client import PrivateServer
from gateway.private_server.result_document import with_metadata
from metering.limits import CALL, Ask, Burst, Draw, Standing
from metering.metered_calls import Allowance, Delivered, MeteredCalls, NotInPlan, Running, Tally, Work
from metering.rate_limit_headers import DAY
from metering.windows import Window, day_of
from security.secrets.hmac_sha256 import hmac_sha256

ROUTE = "POST /api/gateway/predict"
LEASE_MARGIN_SECONDS = 30.0
UNLIMITED = -1


class FeatureNotInTier(NotInPlan):
    """The caller's plan does not have an option that was asked for. Nothing was reserved."""

    status, error, title = 403, "feature_not_in_tier", "Your plan does not include this option"

    def __init__(self, feature: str, tier: Tier, plans: Mapping[Tier, PlanLimits]) -> None:
        including = [each.value for each, plan in plans.items() if feature in plan.options]
        elsewhere = f"These plans do: {', '.join(including)}" if including else "No plan does"
        super().__init__(
            f"The {tier.value} plan does not include {feature}. {elsewhere}",
            feature=feature,
            tier=tier.value,
            included_in=including,
        )


@dataclass(slots=True)
class Question:
    """A checked request: `document` is its canonical JSON, which is also what the private server gets."""

    document: bytes
    enhanced_grounding: bool
    idempotency_key: str | None
    trace_request_id: str
    traceparent: str


@dataclass(frozen=True)
class PredictionProxy:
    """One per process. `hash_key`: the server's key of `request_data_hash`."""

    calls: MeteredCalls
    plans: Mapping[Tier, PlanLimits]
    private_server: PrivateServer
    hash_key: bytes

    def predict(self, caller: Caller, question: Question) -> Delivered:
        """Raises a Problem for every way in which there is no prediction; none of them is charged."""

        def perform(running: Running, _tally: Tally) -> bytes:
            result = self.private_server.predict(
                question.document,
                request_id=running.request_id,
                user_id=running.caller.user_id,
                tier=running.caller.tier.value,
                trace_request_id=question.trace_request_id,
                traceparent=question.traceparent,
            )
            left = running.remaining(DAY)
            metadata = {
                "request_id": running.request_id,
                "user_tier": running.caller.tier.value,
                "response_time_ms": round(running.elapsed_ms()),
                "predictions_remaining_today": UNLIMITED if left is None else left,
            }
            return with_metadata(result, orjson.dumps(metadata))

        return self.calls.once(caller, self._work(question), perform)

    def usage(self, caller: Caller) -> tuple[Ask, Standing]:
        """Today's figures, nothing taken. Raises LimitsUnavailable."""
        return self.calls.usage(caller, self._work(None))

    def _work(self, question: Question | None) -> Work:
        return Work(
            feature=FEATURE,
            noun="predictions",
            route=ROUTE,
            fingerprint="" if question is None else hmac_sha256(self.hash_key, question.document),
            idempotency_key=None if question is None else question.idempotency_key,
            lease_seconds=self.private_server.timeout + LEASE_MARGIN_SECONDS,
            allowance=partial(self._allowance, enhanced_grounding=question is not None and question.enhanced_grounding),
        )

    def _allowance(self, caller: Caller, now: datetime, *, enhanced_grounding: bool) -> Allowance:
        plan = self.plans[caller.tier]
        if enhanced_grounding and ENHANCED_GROUNDING not in plan.options:
            raise FeatureNotInTier(ENHANCED_GROUNDING, caller.tier, self.plans)
        return _allowance_of(plan, day_of(now))


@lru_cache(16)
def _allowance_of(plan: PlanLimits, day: Window) -> Allowance:
    """Every call of a plan and day has the same."""
    return Allowance(
        draws=(Draw(DAY, FEATURE, CALL, day, plan.per_day),),
        burst=Burst(plan.burst, plan.burst_seconds),
        concurrency=plan.concurrency,
        failures_per_hour=plan.failures_per_hour,
        shed_from=plan.shed_from,
    )
