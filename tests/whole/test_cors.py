"""What a web app may read of our answers is what they carry."""

from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from security.api.operation import OPERATIONS_KEY
from security.edge.cors import EXPOSED_HEADERS
from tests.whole.environment import PUBLIC_HOST, WEB_ORIGIN

pytestmark = pytest.mark.slow  # a server is started for it

READABLE_ANYWAY = {
    "cache-control",
    "content-language",
    "content-length",
    "content-type",
    "expires",
    "last-modified",
    "pragma",
}
"""Fetch standard, "CORS-safelisted response-header name"."""
FOR_THE_BROWSER = {
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "content-security-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "permissions-policy",
    "referrer-policy",
    "set-cookie",
    "strict-transport-security",
    "vary",
    "x-content-type-options",
    "x-frame-options",
}
EXPOSED = {name.lower() for name in EXPOSED_HEADERS}


def ask(app: Flask, method: str, path: str, **options: Any) -> TestResponse:
    headers = {"Origin": WEB_ORIGIN, "X-Forwarded-Proto": "https", "Host": PUBLIC_HOST, **options.pop("headers", {})}
    return app.test_client().open(path, method=method, headers=headers, **options)


def test_every_header_that_the_document_promises_can_be_read(app: Flask) -> None:
    document = ask(app, "GET", "/openapi.json").get_json()
    promised = {
        name.lower()
        for operations in document["paths"].values()
        for operation in operations.values()
        for answer in operation["responses"].values()
        for name in answer.get("headers", {})
    }
    assert {"ratelimit", "idempotency-replayed", "retry-after", "www-authenticate"} <= promised
    assert promised - EXPOSED - READABLE_ANYWAY - FOR_THE_BROWSER == set()


def test_a_page_may_say_up_to_where_it_read_a_reply(app: Flask) -> None:
    """A browser's own EventSource sends no Authorization, so pages follow replies by `fetch`, whose headers are asked for."""
    wanted = {
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization, last-event-id",
    }
    answer = ask(app, "OPTIONS", f"/api/gateway/chat/messages/{uuid4()}/stream", headers=wanted)
    allowed = {each.strip().lower() for each in answer.headers["Access-Control-Allow-Headers"].split(",")}
    assert {"authorization", "last-event-id"} <= allowed


def test_every_header_of_a_refusal_can_be_read(app: Flask) -> None:
    answers = {
        "204": ask(app, "OPTIONS", "/api/auth/login", headers={"Access-Control-Request-Method": "POST"}),
        "401": ask(app, "GET", "/api/auth/profile"),
        "404": ask(app, "GET", "/nowhere"),
        "405": ask(app, "PUT", "/api/auth/login"),
        "413": ask(app, "POST", "/api/auth/login", data=b" " * 100_000, content_type="application/json"),
        "415": ask(app, "POST", "/api/auth/login", data=b"{}", content_type="text/plain"),
        "422": ask(app, "POST", "/api/auth/login", json={}),
    }
    encoded = ask(app, "POST", "/api/auth/login", json={}, headers={"Content-Encoding": "gzip"})
    assert {answer.status_code: int(status) for status, answer in answers.items()} == {
        int(status): int(status) for status in answers
    }
    carried = {name.lower() for answer in (*answers.values(), encoded) for name, _ in answer.headers}
    assert {"www-authenticate", "allow", "accept-post", "accept-encoding"} <= carried
    assert carried - EXPOSED - READABLE_ANYWAY - FOR_THE_BROWSER == set()


def test_cookies_are_taken_where_an_operation_says_so_and_nowhere_else(app: Flask) -> None:
    operations = app.extensions[OPERATIONS_KEY].values()
    with_cookies = {each.path for each in operations if each.credentials}
    allowed = {
        each.path
        for each in operations
        if "<" not in each.path
        and ask(app, "OPTIONS", each.path).headers.get("Access-Control-Allow-Credentials") == "true"
    }
    assert allowed == with_cookies
    assert "/api/auth/refresh" in allowed
