"""The parts of this package, put together for one application."""

from auth.scopes import USAGE
from gateway.plan_limits import FEATURE, PREDICT_LIMITS
from gateway.prediction_proxy import LEASE_MARGIN_SECONDS, PredictionProxy
from gateway.private_server.check_production import private_server_check
from gateway.private_server.client import PrivateServer
from gateway.private_server.health import PrivateServerHealth
from gateway.routes import gateway_routes
from gateway.settings import PredictSection
from metering.breaker import Breaker
from metering.bulkhead import Bulkhead
from metering.parts import Built, Parts


def build_predict(parts: Parts, settings: PredictSection) -> Built:
    private_server = PrivateServer(
        settings.private_api_url,
        settings.private_api_path,
        settings.private_server_keys,
        settings.private_api_verify_response,
        timeout=settings.private_api_timeout,
        largest_pool=settings.predict_max_in_flight,
    )
    breaker = Breaker()
    proxy = PredictionProxy(
        calls=parts.metering.calls(
            FEATURE,
            breaker=breaker,
            bulkhead=Bulkhead(settings.predict_max_in_flight),
            longest_call=settings.private_api_timeout + LEASE_MARGIN_SECONDS,
        ),
        plans=PREDICT_LIMITS,
        private_server=private_server,
        hash_key=parts.derived_key("mirroros request hashes v1"),
    )
    health = PrivateServerHealth(private_server, breaker)
    metered, usage_reader = parts.auth.metered(FEATURE), parts.auth.signed_in_or_key(USAGE)
    return Built(
        routes=(gateway_routes(proxy, health, metered=metered, usage_reader=usage_reader),),
        checks=(private_server_check(private_server),),
    )
