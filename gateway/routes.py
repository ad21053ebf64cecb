"""The metered gateway under /api/gateway."""

from datetime import UTC, date, datetime

from flask import Blueprint

from auth.principal import Caller
from gateway.bodies import PolicyUsage, PredictionAnswer, PredictionBody, PrivateHealthAnswer, UsageAnswer
from gateway.prediction_proxy import FeatureNotInTier, PredictionProxy, Question
from gateway.private_server.health import PrivateServerHealth
from gateway.private_server.problems import PRIVATE_SERVER_PROBLEMS
from metering.limits import BURST, CONCURRENCY, LimitsUnavailable, policy_states
from metering.metered_calls import METERED_PROBLEMS
from metering.rate_limit_headers import DAY, METERED_HEADERS
from security.api.operation import Answer, Anyone, Guard, operation
from security.api.request_bodies import Json
from security.edge.request_id import current_request_id, current_traceparent

LARGEST_QUESTION = 64 * 1024


def gateway_routes(
    proxy: PredictionProxy, private_health: PrivateServerHealth, *, metered: Guard, usage_reader: Guard
) -> Blueprint:
    """`metered` admits on a cached state that the reservation checks; `usage_reader` asks each time."""
    routes = Blueprint("gateway", __name__, url_prefix="/api/gateway")

    @operation(
        routes,
        "POST",
        "/predict",
        operation_id="createPrediction",
        summary="Make a prediction",
        guard=metered,
        body=Json(PredictionBody, limit=LARGEST_QUESTION),
        answers={200: PredictionAnswer},
        answer_headers=METERED_HEADERS,
        accepts_idempotency_key=True,
        problems=(FeatureNotInTier, *METERED_PROBLEMS, *PRIVATE_SERVER_PROBLEMS),
    )
    def predict(caller: Caller, body: PredictionBody, idempotency_key: str | None) -> Answer:
        """Uses one prediction of your plan, but only when you receive a result.

        The response is the private server's result with `metadata` added. `metadata.predictions_remaining_today` is -1 if
        your plan has no daily limit; everywhere else null means unlimited. If you repeat a request with the same
        `Idempotency-Key`, you get the stored answer at no cost.
        """
        question = Question(
            document=body.__pydantic_serializer__.to_json(body),
            enhanced_grounding=body.options.enhanced_grounding,
            idempotency_key=idempotency_key,
            trace_request_id=current_request_id(),
            traceparent=current_traceparent(),
        )
        prediction = proxy.predict(caller, question)
        return Answer(200, prediction.body, prediction.headers)

    @operation(
        routes,
        "GET",
        "/predict/usage",
        operation_id="getUsage",
        summary="Get today's usage",
        guard=usage_reader,
        answers={200: UsageAnswer},
        problems=(LimitsUnavailable,),
    )
    def usage(caller: Caller) -> Answer:
        """Shows what you have used and have left in the current UTC day. Costs nothing."""
        ask, standing = proxy.usage(caller)
        today = ask.draws[0].window
        policies = {policy.name: policy for policy in policy_states(ask, standing)}
        day = policies.get(DAY)
        shown = {
            name: PolicyUsage(limit=policy.limit, remaining=policy.remaining, window_seconds=policy.window_seconds)
            for name, policy in policies.items()
        }
        usage = UsageAnswer(
            tier=caller.tier,
            date=date.fromisoformat(today.name),
            used=standing.used[0],
            limit=None if day is None else day.limit,
            remaining=None if day is None else day.remaining,
            resets_at=datetime.fromtimestamp(today.ends, UTC),
            burst=shown.get(BURST),
            concurrency=shown.get(CONCURRENCY),
        )
        return Answer(200, usage)

    @operation(
        routes,
        "GET",
        "/predict/health",
        operation_id="getPrivateServerHealth",
        summary="Check the private server",
        guard=Anyone("monitoring asks without an account; the answer is cached and has a fixed vocabulary"),
        answers={200: PrivateHealthAnswer},
    )
    def health() -> Answer:
        """The result is at most ten seconds old. A check never makes a prediction."""
        return Answer(200, private_health.read())

    return routes
