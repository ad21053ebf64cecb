"""What one web process was told, all of them know: with two processes and a new connection for every request."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from examples.private_server.server import PrivateServer
from examples.private_server.switches import Switches
from tests.whole.web_server import QUESTION, WebServer

OFTEN = 12  # so that both processes are asked


def test_after_signing_out_no_process_makes_a_prediction(web_server: WebServer, shared_private: PrivateServer) -> None:
    alice = web_server.register("alice")
    warm = Counter(web_server.get("/api/gateway/predict/usage", alice.access_token).status for _ in range(OFTEN))
    warm += Counter(web_server.predict(alice).status for _ in range(4))
    assert warm == {200: OFTEN + 4}
    assert web_server.post("/api/auth/logout", {"refresh_token": alice.refresh_token}).status == 204
    for _ in range(OFTEN):
        assert web_server.predict(alice).error == "invalid_token"
        assert web_server.get("/api/auth/profile", alice.access_token).error == "invalid_token"
    assert shared_private.seen.predictions == 4


def test_the_last_prediction_of_the_day_is_made_once(web_server: WebServer, shared_private: PrivateServer) -> None:
    alice = web_server.register("alice")
    assert [web_server.predict(alice).status for _ in range(4)] == [200] * 4
    shared_private.switches = Switches(delay_seconds=0.3)
    with ThreadPoolExecutor(50) as threads:
        replies = list(threads.map(lambda _: web_server.predict(alice), range(50)))
    assert Counter(reply.status for reply in replies) == {200: 1, 429: 49}
    assert shared_private.seen.predictions == 5


def test_what_was_not_delivered_is_given_back_once(web_server: WebServer, shared_private: PrivateServer) -> None:
    alice = web_server.register("alice")
    shared_private.switches = Switches.from_json({"fault": "status", "status": 500})
    assert [web_server.predict(alice).status for _ in range(2)] == [502, 502]
    shared_private.switches = Switches()
    remaining = [web_server.predict(alice).json()["metadata"]["predictions_remaining_today"] for _ in range(5)]
    assert remaining == [4, 3, 2, 1, 0]
    assert web_server.predict(alice).status == 429


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Tier": "enterprise"},
        {"X-User-Tier": "enterprise", "X-User-Id": "0193a5b0-7c1e-7000-8000-0242ac120002"},
        {"X-Mirror-Context": "eyJ0aWVyIjoiZW50ZXJwcmlzZSJ9", "X-Mirror-Signature": "v1=00"},
    ],
)
def test_a_client_cannot_choose_its_tier_by_a_header(web_server: WebServer, headers: dict[str, str]) -> None:
    alice = web_server.register("alice")
    assert web_server.predict(alice, headers=headers).json()["metadata"]["user_tier"] == "free"
    usage = web_server.get("/api/gateway/predict/usage", alice.access_token, headers=headers).json()
    assert (usage["tier"], usage["limit"]) == ("free", 5)


def test_one_network_address_has_one_limit_over_all_processes(web_server: WebServer) -> None:
    same = {"X-Forwarded-For": "198.51.100.77"}
    answers = Counter(
        web_server.post("/api/auth/register", {"email": f"a{number}@example.com", "password": "1"}, headers=same).status
        for number in range(8)
    )
    assert answers == {422: 5, 429: 3}


def test_one_kind_of_token_is_not_another(web_server: WebServer) -> None:
    alice = web_server.register("alice")
    assert web_server.get("/api/auth/profile", alice.refresh_token).error == "invalid_token"
    assert web_server.post("/api/auth/refresh", {"refresh_token": alice.access_token}).status in {401, 422}
    assert web_server.get(f"/api/auth/profile?access_token={alice.access_token}").error == "not_signed_in"
    assert web_server.get("/api/auth/profile", alice.access_token).status == 200


@pytest.mark.slow
def test_everything_at_once_on_one_account_never_deadlocks(web_server: WebServer) -> None:
    alice = web_server.register("alice")
    credentials = {"email": alice.email, "password": alice.password}

    def turn(number: int) -> list[int]:
        signed_in = web_server.post("/api/auth/login", credentials)
        if signed_in.status != 200:
            return [signed_in.status]
        tokens = signed_in.json()
        refresh = {"refresh_token": tokens["refresh_token"]}
        paths = ("/api/auth/refresh", "/api/auth/logout") if number % 2 else ("/api/auth/logout", "/api/auth/refresh")
        replies = [web_server.post(path, refresh) for path in paths]
        replies.append(web_server.post("/api/gateway/predict", QUESTION, tokens["access_token"]))
        return [reply.status for reply in replies]

    with ThreadPoolExecutor(12) as threads:
        statuses = Counter(status for each in threads.map(turn, range(36)) for status in each)
    assert set(statuses) <= {200, 204, 401, 429, 503}
    assert statuses[200] > 0
    assert statuses[204] > 0
