"""The general limit in the whole: predictions, what costs nothing and replays count together, in all processes."""

import time
import uuid

import pytest

from examples.private_server.server import PrivateServer
from tests.whole.conftest import StartWebServer
from tests.whole.environment import production_environment

A_MINUTE = 60
LONG_ENOUGH = 20


@pytest.mark.slow
def test_requests_of_every_kind_count_together(
    start_web_server: StartWebServer, database_url: str, redis_url: str, private: PrivateServer
) -> None:
    environ = production_environment(database_url, private.url, redis_url) | {"RATE_LIMIT_GENERAL": "on"}
    server = start_web_server(environ)
    alice = server.register("alice")
    key = {"Idempotency-Key": str(uuid.uuid4())}
    if A_MINUTE - time.time() % A_MINUTE < LONG_ENOUGH:
        time.sleep(A_MINUTE - time.time() % A_MINUTE)  # the minute must not end while it is counted in
    assert server.predict(alice, headers=key).status == 200
    for _ in range(20):
        assert server.get("/api/gateway/usage/summary", alice.access_token).status == 200
        assert server.predict(alice, headers=key).headers["Idempotency-Replayed"] == "true"
        assert server.predict(alice).status in {200, 429}
    refused = [server.predict(alice), server.predict(alice, headers=key)]
    refused += [server.get("/api/gateway/usage/summary", alice.access_token) for _ in range(4)]
    assert [(reply.status, reply.error) for reply in refused] == [(429, "rate_limited")] * 6
    assert server.predict(server.register("bob")).status == 200
    assert server.get("/health/live").status == 200
