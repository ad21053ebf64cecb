"""Hostile bodies and texts, to every route that takes a body: a clear refusal or plain text, never a 500."""

import gzip
import json
import re
from typing import Any
from uuid import uuid4

import pytest

from examples.private_server.server import PrivateServer
from tests.whole.web_server import QUESTION, Person, Reply, WebServer

pytestmark = pytest.mark.slow  # a server is started for it

CREDENTIAL = {"id": "AAAA", "rawId": "AAAA", "type": "public-key"}
REGISTERED = {"clientDataJSON": "AAAA", "attestationObject": "AAAA"}
SIGNED = {"clientDataJSON": "AAAA", "authenticatorData": "AAAA", "signature": "AAAA"}
GOOD: dict[str, dict[str, Any]] = {
    "/api/auth/register": {"email": "alice@example.com", "password": "tulip-9-orbit-canoe"},
    "/api/auth/login": {"email": "alice@example.com", "password": "tulip-9-orbit-canoe"},
    "/api/auth/refresh": {"refresh_token": "rt_x"},
    "/api/auth/logout": {"refresh_token": "rt_x"},
    "/api/auth/reauthenticate": {"password": "tulip-9-orbit-canoe"},
    "/api/auth/password/change": {"current_password": "tulip-9-orbit-canoe", "new_password": "tulip-9-orbit-canoe"},
    "/api/auth/profile/restore": {"email": "alice@example.com", "password": "tulip-9-orbit-canoe"},
    "/api/auth/login/second-factor": {"challenge": "sc_x", "totp_code": "123456"},
    "/api/auth/login/second-factor/passkey/options": {"challenge": "sc_x"},
    "/api/auth/reauthenticate/second-factor": {"recovery_code": "7K2QD-X9M4T"},
    "/api/auth/second-factor/totp/confirm": {"code": "123456"},
    "/api/auth/passkeys/registration": {"name": "phone", "credential": {**CREDENTIAL, "response": REGISTERED}},
    "/api/auth/passkeys/sign-in": {"credential": {**CREDENTIAL, "response": SIGNED}},
    "/api/auth/verify-email": {"token": "ot_x"},
    "/api/auth/resend-verification": {"email": "alice@example.com"},
    "/api/auth/forgot-password": {"email": "alice@example.com"},
    "/api/auth/reset-password": {"token": "ot_x", "new_password": "tulip-9-orbit-canoe"},
    "/api/auth/email/change": {"new_email": "alice@example.com"},
    "/api/auth/email/confirm": {"token": "ot_x"},
    "/api/auth/email/undo": {"token": "ot_x"},
    "/api/auth/tokens": {"name": "nightly report", "scopes": ["predict"]},
    "/api/auth/tokens/{key_id}/rotate": {"overlap": "1h"},
    "/api/gateway/predict": QUESTION,
}
FOR_STAFF = {
    "/api/auth/admin/impersonate",
    "/api/auth/invites",
    "/api/admin/billing-periods/{period_id}/mark-paid",
    "/api/admin/billing-periods/{period_id}/waive",
    "/api/admin/billing-periods/{period_id}/credit",
}
"""Refused before their body is read. The staff's bodies go through the same reader as all others."""
TESTED_ELSEWHERE = (
    "/api/gateway/solve",
    "/api/gateway/chat/",
    "/api/gateway/conversations",
    "/api/gateway/openai/",
    "/api/gateway/commands/",
    "/api/terminal/",
)
"""How the paths of the capabilities begin, whose bodies are tested in tests/capabilities."""
SIGNED_IN = {
    "/api/auth/reauthenticate",
    "/api/auth/password/change",
    "/api/auth/reauthenticate/second-factor",
    "/api/auth/second-factor/totp/confirm",
    "/api/auth/passkeys/registration",
    "/api/auth/email/change",
    "/api/auth/tokens",
    "/api/auth/tokens/{key_id}/rotate",
    "/api/gateway/predict",
}
MALFORMED = {
    "duplicate key": b'{"a": 1, "a": 2}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "number beyond a double": b'{"a": 1e400}',
    "4,301 digits": b'{"a": %b}' % (b"9" * 4301),
    "overlong UTF-8": b'{"a": "\xc0\xaf"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "lone surrogate": b'{"a": "\\ud800"}',
    "NUL": b'{"a": "\\u0000"}',
    "trailing data": b'{"a": 1} {"b": 2}',
    "single quotes": b"{'a': 1}",
    "5,000 levels": b"[" * 5000 + b"]" * 5000,
    "empty": b"",
}
OTHER_TYPES = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json; charset=latin-1",
    "application/x+json",
    "application/vnd.api+json",
    "",
)
EVERY_FORM = "/api/gateway/predict"
"""Here all malformed bodies and other media types are tried, and one of each at the other routes, which have the same reader."""
WRONG_TYPES: tuple[Any, ...] = (7, 10**15, 0.5, [], {}, True, None)
HOSTILE_TEXTS = (
    "' OR '1'='1' --",
    "'; DROP TABLE users; --",
    "%_\\' UNION SELECT password_hash FROM users",
    "{{7*7}} ${7*7} {0.__class__} %s%n",
    "<script>alert(1)</script>=cmd|'/c calc'!A1",
    "\r\nSet-Cookie: a=b\r\n\r\n\x1b[31m",
    "a" * 5000,
    "\u202e\u200b\u2066 e\u0301 \U0001f600 \ufeff",
)


@pytest.fixture(scope="module")
def alice(shared_web_server: WebServer) -> Person:
    return shared_web_server.register("alice")


def with_ids(path: str) -> str:
    return re.sub(r"{\w+}", str(uuid4()), path)


def send(server: WebServer, path: str, person: Person, body: Any, **headers: str) -> Reply:
    token = person.access_token if path in SIGNED_IN else None
    path = with_ids(path)
    return server.post(path, body, token, headers={name.replace("_", "-"): text for name, text in headers.items()})


def test_every_route_with_a_body_is_tested_here(web_server: WebServer) -> None:
    document = web_server.get("/openapi.json").json()
    taking = {path for path, methods in document["paths"].items() if "requestBody" in methods.get("post", {})}
    assert {path for path in taking if not path.startswith(TESTED_ELSEWHERE)} == set(GOOD) | FOR_STAFF


@pytest.mark.parametrize("path", sorted(FOR_STAFF))
def test_a_user_is_refused_whatever_the_body(web_server: WebServer, path: str) -> None:
    bob = web_server.register("bob")
    for body in (*MALFORMED.values(), b"x" * 70_000):
        assert web_server.post(with_ids(path), body, bob.access_token).error == "insufficient_role"


@pytest.mark.parametrize("path", GOOD)
def test_what_is_no_strict_json_is_400(web_server: WebServer, alice: Person, path: str) -> None:
    names = MALFORMED if path == EVERY_FORM else ["duplicate key"]
    found = {name: send(web_server, path, alice, MALFORMED[name]).status for name in names}
    assert found == dict.fromkeys(names, 400)


@pytest.mark.parametrize("path", GOOD)
def test_json_of_another_shape_is_422_and_names_the_fields(web_server: WebServer, alice: Person, path: str) -> None:
    shapes: list[Any] = [[], [GOOD[path]], "text", 7, True, {**GOOD[path], "is_admin": True}]
    shapes += [{**GOOD[path], field: value} for field in GOOD[path] for value in WRONG_TYPES]
    if path in {"/api/auth/logout", "/api/auth/refresh"}:
        shapes.remove({"refresh_token": None})  # as good as none
    if path == "/api/auth/tokens":
        shapes.remove({**GOOD[path], "scopes": None})
    for shape in shapes:
        reply = send(web_server, path, alice, json.dumps(shape).encode())
        assert (reply.status, bool(reply.json()["errors"])) == (422, True), shape


@pytest.mark.parametrize("path", GOOD)
def test_another_media_type_or_encoding_is_415(web_server: WebServer, alice: Person, path: str) -> None:
    body = json.dumps(GOOD[path]).encode()
    for media_type in OTHER_TYPES if path == EVERY_FORM else OTHER_TYPES[:1]:
        assert send(web_server, path, alice, body, Content_Type=media_type).status == 415, media_type
    bomb = gzip.compress(b" " * 10_000_000)
    for encoding in ("gzip", "br", "identity, gzip") if path == EVERY_FORM else ("gzip",):
        assert send(web_server, path, alice, bomb, Content_Encoding=encoding).status == 415, encoding


@pytest.mark.parametrize("path", GOOD)
def test_a_large_body_is_413(web_server: WebServer, alice: Person, path: str) -> None:
    assert send(web_server, path, alice, b'{"a": "' + b"x" * 70_000 + b'"}').status == 413


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_no_text_is_more_than_a_text(web_server: WebServer, alice: Person, text: str) -> None:
    bodies = [(path, {**good, field: text}) for path, good in GOOD.items() for field in good]
    bodies += [("/api/auth/login", {"email": f"{text}@example.com", "password": text})]
    for path, body in bodies:
        reply = send(web_server, path, alice, body, User_Agent=text if text.isprintable() and text.isascii() else "x")
        assert reply.status in {200, 201, 204, 400, 401, 409, 422, 429}, (path, reply.body)
        assert reply.headers["Set-Cookie"] is None


@pytest.mark.parametrize(
    "options",
    [
        {"url": "http://169.254.169.254/latest"},
        {"callback": "https://evil.example"},
        {"__proto__": {"enhanced_grounding": True}},
        {"constructor": {}},
        {"path": "../admin"},
        {"host": "evil.example"},
        {"headers": {"X-Mirror-Key-Id": "k0"}},
        {"enhanced_grounding": "true"},
        {"confidence_level": "HIGH"},
        {"confidence_level": "file:///etc/passwd"},
    ],
)
def test_nothing_but_the_known_options_reaches_the_private_server(
    web_server: WebServer, shared_private: PrivateServer, alice: Person, options: dict[str, Any]
) -> None:
    reply = send(web_server, "/api/gateway/predict", alice, {**QUESTION, "options": options})
    assert (reply.status, reply.error) == (422, "validation_failed")
    assert shared_private.seen.predictions == 0


def test_private_answers_are_never_cached_or_sent_in_part(web_server: WebServer, alice: Person) -> None:
    for path in ("/api/auth/profile", "/api/gateway/predict/usage"):
        asked = {"Range": "bytes=0-3", "If-None-Match": "*", "If-Modified-Since": "Thu, 01 Jan 2099 00:00:00 GMT"}
        reply = web_server.get(path, alice.access_token, headers=asked)
        assert (reply.status, reply.headers["Cache-Control"]) == (200, "no-store")


@pytest.mark.parametrize(
    "path",
    ["/debug", "/metrics", "/.git/config", "/.env", "/console", "/static/app.py", "/api", "/server-status"],
)
def test_there_is_nothing_beside_the_api(web_server: WebServer, path: str) -> None:
    reply = web_server.get(path)
    assert (reply.status, reply.error) == (404, "not_found")


def test_no_answer_sets_a_cookie_or_allows_a_foreign_origin(web_server: WebServer, alice: Person) -> None:
    for path in ("/health", "/api/auth/profile", "/docs", "/openapi.json", "/nothing"):
        reply = web_server.get(path, alice.access_token, headers={"Origin": "https://app.example.com.evil.example"})
        assert reply.headers["Set-Cookie"] is None
        assert reply.headers["Access-Control-Allow-Origin"] is None
    preflight = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
    reply = web_server.ask("OPTIONS", "/api/gateway/predict", headers=preflight)
    assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (204, "https://app.example.com")
    assert reply.headers["Access-Control-Allow-Credentials"] is None
