"""A gateway on real parts for one test: PostgreSQL, the reference private server, the HTTP edge. Only sign-in is left out."""

import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg2
from flask import Flask, request
from psycopg2.extras import RealDictCursor
from werkzeug.test import TestResponse

from auth.principal import CachedFields, Caller, Principal
from auth.tiers import Tier
from database import db
from database.base import utc_now
from database.engine import EngineOptions, writer_connection
from database.redis.server import RedisAddress, RedisServer
from examples.private_server.mirror_verifier import Keys
from examples.private_server.server import PrivateServer as ReferenceServer
from gateway.plan_limits import PlanLimits
from gateway.prediction_proxy import PredictionProxy
from gateway.private_server.client import PrivateServer
from gateway.private_server.health import PrivateServerHealth
from gateway.routes import gateway_routes
from gateway.settings import ResponseVerification
from metering.breaker import Breaker, BreakerRules
from metering.bulkhead import Bulkhead
from metering.idempotency import IdempotencyKeys
from metering.metered_calls import MeteredCalls
from metering.postgres_limits import PostgresLimits
from metering.settle import Settlement, call_writer
from metering.usage_limits import UsageLimits
from security.edge.edge import install_edge
from security.edge.problems import NotSignedIn, Problem
from security.secrets.signing_keys import PrivateServerKeys, SigningKey
from tests.bare_app import bare_app, disconnect
from tests.metering.limit_backends import eventually

GROUNDED = frozenset({"enhanced_grounding"})
PLANS: Mapping[Tier, PlanLimits] = {
    Tier.FREE: PlanLimits(5, 1000, 1000, 0.7, failures_per_hour=None),
    Tier.PRO: PlanLimits(100, 1000, 1000, 0.9, options=GROUNDED, failures_per_hour=None),
    Tier.ENTERPRISE: PlanLimits(None, 1000, 1000, 1.0, options=GROUNDED, failures_per_hour=None),
}
QUESTION = {"goal": "Run a marathon in under four hours", "timeframe": "6 months"}
NEVER_OPENS = BreakerRules(least_calls=10**9, connect_failures=10**9)


class NamedCaller:
    """The guard of these tests: the caller's id and tier stand in headers, and whether they were read from a cache."""

    scheme: str | None = "bearer"
    problems: tuple[type[Problem], ...] = (NotSignedIn,)

    def admit(self) -> Principal:
        if "X-Test-User" not in request.headers:
            raise NotSignedIn
        user = uuid.UUID(request.headers["X-Test-User"])
        cached = CachedFields("state", ("u",), ("old",)) if "X-Test-Cached" in request.headers else None
        return Principal(user, user, Tier(request.headers["X-Test-Tier"]), cached)


@dataclass
class RunningGateway:
    app: Flask
    private: ReferenceServer
    proxy: PredictionProxy
    url: str
    redis: RedisServer
    alice: uuid.UUID = field(default_factory=uuid.uuid4)

    def ask(
        self,
        question: Any = None,
        *,
        user: uuid.UUID | None = None,
        tier: Tier = Tier.FREE,
        key: str | None = None,
        cached: bool = False,
    ) -> TestResponse:
        headers = {"X-Test-User": str(user or self.alice), "X-Test-Tier": tier.value}
        if cached:
            headers["X-Test-Cached"] = "yes"
        if key is not None:
            headers["Idempotency-Key"] = key
        return self.app.test_client().post("/api/gateway/predict", json=question or QUESTION, headers=headers)

    def wait_for_prediction(self, number: int) -> None:
        """Until the private server has been asked so many times."""
        eventually(lambda: self.private.seen.predictions >= number)

    def get(self, path: str, *, tier: Tier = Tier.FREE) -> TestResponse:
        headers = {"X-Test-User": str(self.alice), "X-Test-Tier": tier.value}
        return self.app.test_client().get(f"/api/gateway{path}", headers=headers)

    def rows(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        connection = psycopg2.connect(self.url, cursor_factory=RealDictCursor)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return [dict(row) for row in cursor.fetchall()]
        finally:
            connection.close()

    def requests(self) -> list[dict[str, Any]]:
        """The calls that reached for the private server."""
        return self.rows(
            "SELECT * FROM prediction_requests WHERE success OR NOT starts_with(error_code, 'limit_') ORDER BY id"
        )

    def refusals(self) -> list[dict[str, Any]]:
        """What the log has of the refusals by the limits."""
        return self.rows("SELECT * FROM prediction_requests WHERE starts_with(error_code, 'limit_') ORDER BY id")

    def used(self, user: uuid.UUID | None = None) -> int:
        found = self.rows(
            "SELECT used FROM usage_counters WHERE unit = 'call' AND user_id = %s", str(user or self.alice)
        )
        return found[0]["used"] if found else 0

    def reserved(self) -> int:
        return len(self.rows("SELECT 1 FROM usage_reservations"))


@contextmanager
def running_gateway(
    url: str,
    *,
    timeout: float = 20.0,
    verify: ResponseVerification = ResponseVerification.REQUIRED,
    breaker: Breaker | None = None,
    places: int = 64,
    bulkhead_wait: float = 0.25,
    private_url: str | None = None,
    plans: Mapping[Tier, PlanLimits] = PLANS,
    key_lease: timedelta = timedelta(seconds=60),
    settle_seconds: float = 3.0,
    settle_url: str | None = None,
    confirm: Callable[[Caller], Caller] = lambda caller: caller,
    redis_url: str | None = None,
) -> Iterator[RunningGateway]:
    secret = secrets.token_bytes(32)
    app = bare_app(url)
    breaker = breaker or Breaker(NEVER_OPENS)
    options = EngineOptions(application_name="mirroros-test")
    redis = RedisServer(None if redis_url is None else RedisAddress(redis_url, timeout=1.0))
    with ReferenceServer(Keys({"k1": secret}), test_switches=True) as private, app.app_context():
        server = PrivateServer(
            private_url or private.url,
            "/predict",
            PrivateServerKeys((SigningKey("k1", secret),)),
            verify,
            timeout=timeout,
            largest_pool=places,
        )
        writer = call_writer(writer_connection(settle_url or url, options))
        proxy = PredictionProxy(
            calls=MeteredCalls(
                limits=UsageLimits(PostgresLimits(db.engine), redis),
                breaker=breaker,
                bulkhead=Bulkhead(places, bulkhead_wait),
                settlement=Settlement(writer, settle_seconds),
                idempotency=IdempotencyKeys(key_lease),
                confirm=confirm,
                clock=utc_now,
            ),
            plans=plans,
            private_server=server,
            hash_key=secrets.token_bytes(32),
        )
        guard = NamedCaller()
        routes = gateway_routes(proxy, PrivateServerHealth(server, breaker), metered=guard, usage_reader=guard)
        install_edge(app, require_https=False, trusted_proxy_hops=0, trusted_hosts=())
        app.register_blueprint(routes)
        yield RunningGateway(app, private, proxy, url, redis)
        redis.close()
        server.close()
        writer.close()
        disconnect(app)
