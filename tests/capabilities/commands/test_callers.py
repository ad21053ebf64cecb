"""Who may ask, with which key for OpenRouter, and from where."""

import pytest

from tests.capabilities.commands.conftest import BASE, BODIES, COMMANDS, Customer, RunningCommands
from tests.whole.environment import WEB_ORIGIN

PATHS = (*BODIES, "validate-key")
OTHER = "sk-or-v1-" + "0" * 40


@pytest.mark.parametrize("path", PATHS)
def test_the_key_is_sent_in_the_header_or_in_the_body_and_not_in_both(alice: Customer, path: str) -> None:
    key, body = alice.running.ai.keys["openrouter"], BODIES.get(path, {})
    in_header = alice.post(f"{COMMANDS}/{path}", body, {"X-OpenRouter-Key": key})
    in_body = alice.post(f"{COMMANDS}/{path}", {**body, "api_key": key})
    assert (in_header.status_code, in_body.status_code) == (200, 200), in_body.text
    both = alice.post(f"{COMMANDS}/{path}", {**body, "api_key": key}, {"X-OpenRouter-Key": key})
    assert (both.status_code, both.get_json()["error"]) == (400, "key_sent_twice")
    neither = alice.post(f"{COMMANDS}/{path}", body)
    assert (neither.status_code, neither.get_json()["errors"][0]["pointer"]) == (422, "/api_key")
    for wrong in ("short", "with blank with blank", "a" * 201):
        assert alice.post(f"{COMMANDS}/{path}", body, {"X-OpenRouter-Key": wrong}).status_code == 422
        assert alice.post(f"{COMMANDS}/{path}", {**body, "api_key": wrong}).status_code == 422
    assert len(alice.running.ai.books.entries) == 2


def test_a_key_is_looked_up_without_a_body(alice: Customer) -> None:
    key = alice.running.ai.keys["openrouter"]
    headers = {"X-OpenRouter-Key": key, "Authorization": f"Bearer {alice.token}"}
    client = alice.running.app.test_client()
    assert client.post(f"{COMMANDS}/validate-key", headers=headers, base_url=BASE).get_json()["valid"] is True


@pytest.mark.parametrize("path", PATHS)
def test_an_api_key_needs_the_scope(running: RunningCommands, alice: Customer, path: str) -> None:
    robot = Customer(running, alice.id, alice.api_key("commands"))
    assert robot.ask(path).status_code == 200
    reader = Customer(running, alice.id, alice.api_key("usage"))
    refused = reader.ask(path)
    assert (refused.status_code, refused.get_json()["error"]) == (403, "insufficient_scope")
    assert Customer(running, "", "no token").ask(path).status_code == 401


def test_who_impersonates_sees_none_of_it(running: RunningCommands, alice: Customer, bob: Customer) -> None:
    role = "UPDATE users SET role = %s WHERE id = %s RETURNING id"
    running.rows(role, "admin", bob.id)
    begun = bob.post("/api/auth/admin/impersonate", {"user_id": alice.id, "reason": "a question"})
    running.rows(role, "user", bob.id)
    assert begun.status_code == 201, begun.text
    eyes = Customer(running, alice.id, begun.get_json()["access_token"])
    for path in PATHS:
        refused = eyes.ask(path)
        assert (refused.status_code, refused.get_json()["error"]) == (403, "impersonation_read_only")
    assert running.ai.books.entries == []


def test_a_page_of_a_listed_origin_may_send_the_header(running: RunningCommands) -> None:
    wanted = {"Origin": WEB_ORIGIN, "Access-Control-Request-Method": "POST"}
    wanted["Access-Control-Request-Headers"] = "authorization, content-type, x-openrouter-key"
    answer = running.app.test_client().options(f"{COMMANDS}/suggest", headers=wanted, base_url=BASE)
    assert "x-openrouter-key" in answer.headers["Access-Control-Allow-Headers"].lower()


@pytest.mark.parametrize(
    ("former", "path"),
    [("suggest-command", "suggest"), ("explain-command", "explain"), ("explain-error", "explain-error")],
)
def test_the_former_paths_are_the_same(alice: Customer, former: str, path: str) -> None:
    key = {"X-OpenRouter-Key": alice.running.ai.keys["openrouter"]}
    answer = alice.post(f"/api/ai/{former}", BODIES[path], key)
    assert (answer.status_code, "Deprecation" in answer.headers, alice.used()) == (200, True, 1)
    assert alice.post("/api/ai/validate-key", {}, key).get_json()["valid"] is True


def test_the_document_has_the_header_and_hides_the_key(running: RunningCommands) -> None:
    document = running.app.test_client().get("/openapi.json", base_url=BASE).get_json()
    for path in PATHS:
        described = document["paths"][f"{COMMANDS}/{path}"]["post"]
        names = [each["name"] for each in described["parameters"] if each["in"] == "header"]
        assert "X-OpenRouter-Key" in names
        assert ("Idempotency-Key" in names) == (path != "validate-key")
        schema = described["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        text, _null = document["components"]["schemas"][schema]["properties"]["api_key"]["anyOf"]
        assert (text["format"], text["writeOnly"]) == ("password", True)
