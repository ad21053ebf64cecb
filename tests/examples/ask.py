"""Asks the reference prediction server, signed and unsigned."""

import http.client
import json
import secrets
import threading
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from examples.private_server.server import PrivateServer
from security.request_signer import (
    CallContext,
    SignedRequest,
    sign_request,
    verify_response,
)
from security.secrets.signing_keys import PrivateServerKeys, SigningKey

SECRET = secrets.token_bytes(32)
RING = PrivateServerKeys((SigningKey("k1", SECRET),))
QUESTION = {
    "goal": "Run a marathon in under 4 hours",
    "timeframe": "6 months",
    "context": "I already train weekly",
    "options": {"enhanced_grounding": False, "confidence_level": "medium"},
}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    nonce: str

    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)

    def verify(self) -> None:
        """Raises when the answer is not the private server's."""
        verify_response(
            RING,
            nonce=self.nonce,
            status=self.status,
            headers=self.headers,
            body=self.body,
            now=datetime.now(UTC),
        )


def connect(server: PrivateServer, timeout: float = 10) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=timeout)


def signed(body: bytes, *, method: str = "POST", target: str = "/predict", request_id: str = "req-1") -> SignedRequest:
    return sign_request(
        RING,
        method=method,
        target=target,
        body=body,
        content_type="application/json",
        context=CallContext(request_id, "alice", "pro", 30_000).encoded(),
        now=datetime.now(UTC),
    )


def ask(
    server: PrivateServer,
    question: Any = None,
    *,
    method: str = "POST",
    target: str = "/predict",
    timeout: float = 10,
    request: SignedRequest | None = None,
    connection: http.client.HTTPConnection | None = None,
) -> Reply:
    body = question if isinstance(question, bytes) else json.dumps(QUESTION if question is None else question).encode()
    request = request or signed(body, method=method, target=target)
    with closing(connection or connect(server, timeout)) as used:
        used.request(method, target, body, request.headers)
        response = used.getresponse()
        return Reply(response.status, response.getheaders(), response.read(), request.nonce)


def call(server: PrivateServer, method: str, path: str, document: Any = None) -> tuple[int, bytes]:
    """Without a signature."""
    with closing(connect(server)) as connection:
        connection.request(method, path, None if document is None else json.dumps(document))
        response = connection.getresponse()
        return response.status, response.read()


def wait_until_seen(server: PrivateServer, predictions: int) -> None:
    tick = threading.Event()
    for _ in range(1000):
        if server.seen.predictions == predictions:
            return
        tick.wait(0.01)
    pytest.fail(f"only {server.seen.predictions} of {predictions} arrived in 10 seconds")
