"""The health of providers, under /health."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from flask import Blueprint

from providers.bodies import ProviderHealthAnswer, ProvidersAnswer
from providers.health import ProviderHealth
from providers.settings import TITLES
from security.api.operation import Answer, Anyone, operation


def provider_routes(healths: Mapping[str, ProviderHealth]) -> Blueprint:
    """`healths`: of those that are set up, by name."""
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
        """Always 200: the states are in the body. They come from the calls of this process. When there were none for a minute, a
        provider is asked for the description of a model, which costs nothing.
        """
        with ThreadPoolExecutor(len(TITLES)) as pool:  # those that have to be asked are asked at once
            read = {name: pool.submit(health.read) for name, health in healths.items()}
            return Answer(
                200,
                ProvidersAnswer(
                    providers=[
                        read[name].result() if name in read else ProviderHealthAnswer.of_none(name) for name in TITLES
                    ]
                ),
            )

    return routes
