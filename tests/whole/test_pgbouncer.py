"""Web processes behind PgBouncer in transaction mode, with the worker and migrations connected directly."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pytest
import requests

from examples.private_server.server import PrivateServer
from sandbox.stripe_server.server import StripeServer
from tests.conftest import administer
from tests.databases import ask
from tests.metering.limit_backends import eventually
from tests.whole.attempts import assert_exactly_five, attempt_in_parallel
from tests.whole.conftest import StartWebServer
from tests.whole.environment import production_environment, stripe_environment
from tests.whole.pgbouncer import PGBOUNCER, SERVER_CONNECTIONS, pgbouncer
from tests.whole.real_worker import RealWorker
from tests.whole.steady_load import assert_none_failed, register_clients, steady_load
from tests.whole.test_purchase_reaches_limits import limits_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not installed (Debian: apt-get install pgbouncer)"),
]


@pytest.fixture
def pooled_url(database_url: str, tmp_path: Path) -> Iterator[str]:
    with pgbouncer(database_url, tmp_path) as url:
        yield url


@pytest.fixture
def environ(pooled_url: str, database_url: str, private: PrivateServer, redis_url: str) -> dict[str, str]:
    return {
        **production_environment(pooled_url, private.url, redis_url),
        "DATABASE_DIRECT_URL": database_url,
    }


def connections(database_url: str) -> int:
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    count: int = ask(database_url, f"SELECT count(*) {others}")[0][0]
    return count


def test_predictions_share_few_connections_and_are_counted_exactly(
    start_web_server: StartWebServer, environ: dict[str, str], database_url: str, private: PrivateServer
) -> None:
    server = start_web_server(environ)
    alice = server.register("alice")
    assert_exactly_five(database_url, private, alice, attempt_in_parallel(server, alice))

    people = register_clients(server, database_url)
    administer(database_url, "TRUNCATE usage_counters, request_logs CASCADE")
    with steady_load(server.connection, people) as load:
        load.wait_for(3)
        assert server.get("/health/ready").json()["parts"]["database"]["status"] == "ok"
        assert 0 < connections(database_url) <= SERVER_CONNECTIONS
    assert_none_failed(load, database_url)


def test_without_redis_limits_are_as_exact(
    start_web_server: StartWebServer, environ: dict[str, str], database_url: str, private: PrivateServer
) -> None:
    del environ["REDIS_URL"]
    server = start_web_server(environ)
    alice = server.register("alice")
    assert_exactly_five(database_url, private, alice, attempt_in_parallel(server, alice))
    signed_in = server.post("/api/auth/login", {"email": alice.email, "password": alice.password}).json()
    renewed = server.post("/api/auth/refresh", {"refresh_token": signed_in["refresh_token"]})
    assert server.get("/api/auth/profile", renewed.json()["access_token"]).status == 200


def test_a_payment_reaches_the_limits(
    start_web_server: StartWebServer,
    environ: dict[str, str],
    stripe: StripeServer,
    database_url: str,
    tmp_path: Path,
) -> None:
    environ |= {**stripe_environment(stripe), "FLASK_ENV": "development", "BCRYPT_COST": "4"}
    server = start_web_server(environ)
    stripe.outbox.url = f"http://127.0.0.1:{server.port}/api/payments/stripe/webhook"
    alice = server.register("alice")
    worker = RealWorker(environ, tmp_path)
    worker.start()
    try:
        wanted = {"tier": "pro", "billing_cycle": "monthly"}
        page = server.post("/api/payments/stripe/create-checkout-session", wanted, alice.access_token)
        assert page.status == 200, page.body
        requests.post(page.json()["checkout_url"], data={"action": "good"}, allow_redirects=False, timeout=10)
        assert set(stripe.outbox.deliver_pending()) == {200}
        eventually(lambda: server.get("/health/ready").json()["status"] == "ready" or None, 30)
        worker.wait_until_idle()
        assert connections(database_url) > SERVER_CONNECTIONS  # its own, on which it listens
    finally:
        worker.stop()
    assert limits_of(server, alice) == {("pro", 100, "60")}


def test_every_session_has_the_time_limits(pooled_url: str, database_url: str) -> None:
    database = database_url.rpartition("/")[2]
    administer(database_url, f"ALTER DATABASE \"{database}\" SET timezone = 'Asia/Tokyo'")

    def limits(_: int) -> tuple[str, ...]:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "timezone")
        return tuple(ask(pooled_url, f"SHOW {name}")[0][0] for name in names)

    with ThreadPoolExecutor(9) as threads:
        assert Counter(threads.map(limits, range(18))) == {("5s", "3s", "15s", "UTC"): 18}
    begun = time.monotonic()
    with pytest.raises(psycopg2.errors.QueryCanceled):
        ask(pooled_url, "SELECT pg_sleep(60)")
    assert time.monotonic() - begun < 30
