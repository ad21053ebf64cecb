"""A storm of sign-ins: bcrypt gets its few threads, and whoever is signed in goes on working meanwhile."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from examples.private_server.server import PrivateServer
from tests.whole.conftest import StartWebServer
from tests.whole.environment import production_environment

SIGN_INS = 100
AT_ONCE = 100


@pytest.mark.slow
def test_other_requests_are_answered_during_a_flood_of_sign_ins(
    start_web_server: StartWebServer, database_url: str, redis_url: str, private: PrivateServer
) -> None:
    environ = {**production_environment(database_url, private.url, redis_url), "BCRYPT_COST": "12"}
    server = start_web_server(environ, processes=1)
    alice = server.register("alice")

    def guess(number: int) -> int:
        """Of another account each time, so that none of them has to wait for its own guesser."""
        return server.post("/api/auth/login", {"email": f"nobody-{number}@example.com", "password": "tulip"}).status

    with ThreadPoolExecutor(AT_ONCE) as threads:
        flood = [threads.submit(guess, number) for number in range(SIGN_INS)]
        answered: Counter[str] = Counter()
        while not all(each.done() for each in flood):
            answered[f"profile {server.get('/api/auth/profile', alice.access_token).status}"] += 1
            answered[f"usage {server.get('/api/gateway/predict/usage', alice.access_token).status}"] += 1
            answered[f"ready {server.get('/health/ready').status}"] += 1
            if answered["predict 200"] < 2:
                answered[f"predict {server.predict(alice).status}"] += 1
        statuses = Counter(each.result() for each in flood)
    assert set(statuses) == {401, 503}
    assert set(answered) == {"profile 200", "usage 200", "ready 200", "predict 200"}
    assert answered["predict 200"] == 2
    assert answered["profile 200"] >= 5
