"""An API key at the real web server: several processes, Redis, and predictions that are counted."""

import re
import uuid
from typing import Any

import pytest

from tests.whole.web_server import QUESTION, Person, Reply, WebServer

pytestmark = pytest.mark.slow  # a server is started for it

ENOUGH_TO_REACH_EVERY_PROCESS = 12
PREDICT, USAGE = "/api/gateway/predict", "/api/gateway/predict/usage"


@pytest.fixture
def alice(web_server: WebServer) -> Person:
    return web_server.register("alice")


def make_key(server: WebServer, person: Person, *scopes: str, **more: Any) -> dict[str, Any]:
    wish = {"name": "nightly report", "scopes": list(scopes), **more}
    made = server.post("/api/auth/tokens", wish, person.access_token)
    assert made.status == 201, made.body
    return dict(made.json())


def asked_everywhere(server: WebServer, token: str) -> set[int]:
    return {server.get(USAGE, token).status for _ in range(ENOUGH_TO_REACH_EVERY_PROCESS)}


def test_a_prediction_with_a_key_is_its_users(web_server: WebServer, alice: Person) -> None:
    token = make_key(web_server, alice, "predict", "usage")["token"]
    reply = web_server.post(PREDICT, QUESTION, token)
    assert reply.status == 200
    assert reply.json()["metadata"]["predictions_remaining_today"] == 4
    assert web_server.get(USAGE, token).json()["used"] == 1
    assert web_server.get(USAGE, alice.access_token).json()["used"] == 1


def test_the_limit_is_the_users_whatever_the_credential_is(web_server: WebServer, alice: Person) -> None:
    first, second = (make_key(web_server, alice, "predict")["token"] for _ in range(2))
    credentials = [first, second, alice.access_token] * 2
    assert [web_server.post(PREDICT, QUESTION, each).status for each in credentials] == [200] * 5 + [429]


def test_a_revoked_key_makes_no_prediction_in_any_process(web_server: WebServer, alice: Person) -> None:
    key = make_key(web_server, alice, "predict", "usage")
    assert asked_everywhere(web_server, key["token"]) == {200}
    assert web_server.post(PREDICT, QUESTION, key["token"]).status == 200
    assert web_server.ask("DELETE", f"/api/auth/tokens/{key['id']}", token=alice.access_token).status == 204
    refused = [web_server.post(PREDICT, QUESTION, key["token"]) for _ in range(ENOUGH_TO_REACH_EVERY_PROCESS)]
    assert {(reply.status, reply.error) for reply in refused} == {(401, "invalid_token")}
    assert asked_everywhere(web_server, key["token"]) == {401}
    assert web_server.get(USAGE, alice.access_token).json()["used"] == 1


def test_a_key_with_an_idempotency_key_is_answered_from_the_store(web_server: WebServer, alice: Person) -> None:
    token, headers = make_key(web_server, alice, "predict")["token"], {"Idempotency-Key": f"goal-{alice.user_id}"}
    first, again = (web_server.post(PREDICT, QUESTION, token, headers=headers) for _ in range(2))
    assert (first.body, again.headers["Idempotency-Replayed"]) == (again.body, "true")


def test_scopes_and_networks_hold_at_the_gateway(web_server: WebServer, alice: Person) -> None:
    usage, predict = make_key(web_server, alice, "usage")["token"], make_key(web_server, alice, "predict")["token"]
    elsewhere = make_key(web_server, alice, "predict", "usage", allowed_networks=["192.0.2.0/24"])["token"]
    refused: list[Reply] = [
        web_server.post(PREDICT, QUESTION, usage),
        web_server.get(USAGE, predict),
        web_server.post(PREDICT, QUESTION, elsewhere),
        web_server.get("/api/auth/profile", predict),
    ]
    assert [reply.status for reply in refused] == [403] * 4
    scopes = [(reply.headers["WWW-Authenticate"] or "").rpartition("scope=")[2] for reply in refused]
    assert scopes == ['"predict"', '"usage"', "", '"account"']
    assert web_server.get(USAGE, usage).status == 200
    inside = web_server.get(USAGE, elsewhere, headers={"X-Forwarded-For": "192.0.2.77"})
    assert (inside.status, inside.json()["used"]) == (200, 0)


def test_a_key_does_nothing_else_at_all(web_server: WebServer, alice: Person) -> None:
    """Whatever routes there are: the OpenAPI document names those that a person must sign in for."""
    token = make_key(web_server, alice, "predict", "usage")["token"]
    paths: dict[str, dict[str, Any]] = web_server.get("/openapi.json").json()["paths"]
    for_people = [
        (method.upper(), re.sub(r"{[^}]+}", str(uuid.uuid4()), path.replace("{name}", "solve_price_cents")))
        for path, operations in paths.items()
        for method, operation in operations.items()
        if operation["security"] and {"apiKey": []} not in operation["security"]
    ]
    assert ("POST", "/api/auth/tokens") in for_people
    for method, path in for_people:
        refused = web_server.ask(method, path, token=token)
        assert (method, path, refused.status, refused.error) == (method, path, 403, "insufficient_scope")


def test_no_key_stands_in_the_log(web_server: WebServer, alice: Person) -> None:
    token = make_key(web_server, alice, "usage")["token"]
    web_server.get(f"{USAGE}?token={token}", token)
    web_server.get(f"/{token}", token)
    web_server.get("/api/auth/profile", token)
    output = web_server.output()
    assert "api_key_created" in output
    assert token[12:] not in output
