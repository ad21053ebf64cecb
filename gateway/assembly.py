"""The parts of this package, put together for one application."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from auth.principal import Caller
from auth.tiers import Tier
from database.base import utc_now
from database.redis.server import RedisServer
from gateway.plan_limits import PlanLimits
from gateway.prediction_proxy import LEASE_MARGIN_SECONDS, PredictionProxy
from gateway.private_server.client import PrivateServer, PrivateServerAddress, VerifyResponse
from gateway.private_server.health import PrivateServerHealth
from gateway.routes import Gateway
from metering.breaker import Breaker
from metering.bulkhead import Bulkhead
from metering.idempotency import IdempotencyKeys
from metering.metered_calls import MeteredCalls
from metering.postgres_limits import PostgresLimits
from metering.settle import Settlement, call_writer
from metering.usage_limits import UsageLimits
from security.api.operation import Guard
from security.secrets.signing_keys import PrivateServerKeys


@dataclass(frozen=True)
class GatewaySettings:
    """`most_in_flight`: calls of this process to the private server at once."""

    address: PrivateServerAddress
    verify: VerifyResponse
    plans: Mapping[Tier, PlanLimits]
    most_in_flight: int

    @property
    def longest_call(self) -> float:
        """Seconds after which a metered call has certainly ended, settled or not."""
        return self.address.timeout + LEASE_MARGIN_SECONDS


def assemble_gateway(
    settings: GatewaySettings,
    *,
    private_server_keys: PrivateServerKeys,
    hash_key: bytes,
    engine: Engine,
    connect: Callable[[], Connection],
    redis: RedisServer,
    confirm: Callable[[Caller], Caller],
    metered: Guard,
    usage_reader: Guard,
) -> Gateway:
    """`hash_key` hides what was asked in the log. `connect` opens the connection on which calls are settled. `confirm` reads
    anew who calls, when what was known of them has changed.

    Starts no thread and connects to nothing.
    """
    private_server = PrivateServer(
        settings.address, private_server_keys, settings.verify, largest_pool=settings.most_in_flight
    )
    breaker = Breaker()
    proxy = PredictionProxy(
        calls=MeteredCalls(
            limits=UsageLimits(PostgresLimits(engine), redis),
            breaker=breaker,
            bulkhead=Bulkhead(settings.most_in_flight),
            settlement=Settlement(call_writer(connect)),
            idempotency=IdempotencyKeys(lease=timedelta(seconds=settings.longest_call)),
            confirm=confirm,
            clock=utc_now,
        ),
        plans=settings.plans,
        private_server=private_server,
        hash_key=hash_key,
    )
    return Gateway(
        proxy=proxy,
        health=PrivateServerHealth(private_server, breaker),
        usage_reader=usage_reader,
        metered=metered,
    )
