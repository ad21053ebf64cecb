import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.toy_api import ALLOWED_ORIGIN, toy_app


def preflight(app: Flask, origin: str, method: str = "POST", headers: str | None = None) -> TestResponse:
    sent = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers is not None:
        sent["Access-Control-Request-Headers"] = headers
    return app.test_client().options("/toy/wishes", headers=sent)


def test_a_listed_origin_may_read_the_answer(toy: Flask) -> None:
    answer = toy.test_client().get("/toy/wishes", headers={"Origin": ALLOWED_ORIGIN})
    assert answer.headers["Access-Control-Allow-Origin"] == ALLOWED_ORIGIN
    assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_listed_origin_may_read_errors_too(toy: Flask) -> None:
    answer = toy.test_client().put("/toy/wishes", headers={"Origin": ALLOWED_ORIGIN})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (401, ALLOWED_ORIGIN)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "*",
        "",
        "https://app.example.com.evil.org",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://www.app.example.com",
        "https://appXexample.com",
        "https://APP.example.com",
        "https://app.example.com/",
    ],
)
def test_any_other_origin_gets_nothing(toy: Flask, origin: str) -> None:
    for answer in (preflight(toy, origin), toy.test_client().get("/toy/wishes", headers={"Origin": origin})):
        assert not [name for name in answer.headers if name[0].lower().startswith("access-control-")]
        assert answer.headers["Vary"] == "Origin"


def test_a_preflight_of_a_listed_origin_says_what_may_be_sent(toy: Flask) -> None:
    answer = preflight(toy, ALLOWED_ORIGIN, "PUT", "authorization,content-type, Idempotency-Key")
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Methods"] == "DELETE, GET, PATCH, POST, PUT"
    assert "Idempotency-Key" in answer.headers["Access-Control-Allow-Headers"]
    assert answer.headers["Access-Control-Max-Age"] == "600"


@pytest.mark.parametrize("method", ["TRACE", ""])
def test_a_preflight_for_anything_else_allows_nothing(toy: Flask, method: str) -> None:
    answer = preflight(toy, ALLOWED_ORIGIN, method)
    assert answer.status_code == 204
    assert "Access-Control-Allow-Methods" not in answer.headers
    assert "Access-Control-Allow-Headers" not in answer.headers


@pytest.mark.parametrize(("asked", "allowed"), [("X-Admin", None), ("x-admin, content-type", "content-type")])
def test_a_preflight_with_a_foreign_header_allows_the_others(toy: Flask, asked: str, allowed: str | None) -> None:
    assert preflight(toy, ALLOWED_ORIGIN, "POST", asked).headers.get("Access-Control-Allow-Headers") == allowed


@pytest.mark.parametrize("tracing", ["sentry-trace, baggage", "traceparent, tracestate"])
def test_a_page_may_send_what_tracing_adds(toy: Flask, tracing: str) -> None:
    answer = preflight(toy, ALLOWED_ORIGIN, "POST", f"content-type, {tracing}")
    allowed = {name.lower() for name in answer.headers["Access-Control-Allow-Headers"].split(", ")}
    assert set(tracing.split(", ")) <= allowed


@pytest.mark.parametrize("origin", ["capacitor://localhost", "http://[::1]:3000"])
def test_a_hybrid_app_and_an_ipv6_host_may_read_the_answer(origin: str) -> None:
    answer = toy_app(cors_origins=frozenset({origin})).test_client().get("/toy/wishes", headers={"Origin": origin})
    assert answer.headers["Access-Control-Allow-Origin"] == origin


def test_a_preflight_needs_no_credential(toy: Flask) -> None:
    assert preflight(toy, ALLOWED_ORIGIN, "PUT").status_code == 204


def test_without_a_list_answers_do_not_vary() -> None:
    answer = toy_app(cors_origins=frozenset()).test_client().get("/toy/wishes", headers={"Origin": ALLOWED_ORIGIN})
    assert "Vary" not in answer.headers
    assert "Access-Control-Allow-Origin" not in answer.headers
