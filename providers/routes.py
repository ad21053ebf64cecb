"""The health of providers, under /health."""

from collections.abc import Sequence

from flask import Blueprint

from providers.bodies import ProvidersAnswer
from providers.health import ProviderHealth
from security.api.operation import Answer, Anyone, operation


def provider_routes(healths: Sequence[ProviderHealth]) -> Blueprint:
    routes = Blueprint("ai_providers", __name__, url_prefix="/health")

    @operation(
        routes,
        "GET",
        "/providers",
        operation_id="getProviderHealth",
        summary="Check the AI providers",
        guard=Anyone(because="what watches the service asks without credentials"),
        answers={200: ProvidersAnswer},
    )
    def read_provider_health() -> Answer:
        """Always 200: the states are in the body. They come from the calls of this process. When there were none for a minute, the
        provider is asked for the description of the default model, which costs nothing.
        """
        return Answer(200, ProvidersAnswer(providers=[health.read() for health in healths]))

    return routes
