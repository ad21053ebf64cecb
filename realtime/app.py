"""One ASGI application for everything that keeps a connection open, and for the health of its process."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import orjson
import structlog

from realtime.caps import Caps
from realtime.client import Client, Closing
from realtime.clients import Clients
from realtime.metrics import REFUSED
from realtime.origin import Origins
from realtime.socket_io import ARRIVAL, SocketIo
from security.edge.client_address import TrustedProxies, is_loopback
from security.edge.metrics import METRICS_PATH
from security.edge.problems import (
    PROBLEM_JSON,
    HttpsRequired,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    Problem,
    TooBusy,
)
from security.edge.request_id import begin_exchange, current_request_id
from security.edge.response_headers import headers_of_all
from security.health.check import HealthCheck
from security.health.routes import readiness
from security.metrics.exposition import CONTENT_TYPE, Metrics
from security.metrics.scraper import has_token

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

ABORT = "realtime.abort"
"""An extension of a WebSocket's scope: cuts its connection off, without waiting until the client has read what was sent."""
RESTART_SECONDS = 5
UNREADABLE = (ValueError, LookupError, TypeError)
"""What python-engineio raises for frames that it cannot read."""


@dataclass
class Arrival:
    """A request of Socket.IO. `abort`: see ABORT."""

    address: str
    abort: Callable[[], None] | None
    client: Client | None = None

    def belongs_to(self, client: Client) -> None:
        self.client, client.abort = client, self.abort


@dataclass(frozen=True)
class Answer:
    body: bytes
    content_type: str = "application/json"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Edge:
    """What stands in front of every request. `socket_io` None: no capability that is on uses sockets."""

    origins: Origins
    proxies: TrustedProxies
    require_https: bool
    caps: Caps
    clients: Clients
    health: HealthCheck
    metrics: Metrics
    metrics_token: str | None
    socket_io: SocketIo | None


class RealtimeApp:
    """Beside `/socket.io` is the place of further sockets: `/ws/…`. There are none yet."""

    def __init__(self, edge: Edge) -> None:
        self.draining = False
        self._edge = edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        environ = _environ(scope)
        begin_exchange(environ)
        https = self._edge.proxies.is_https(environ)
        try:
            answer = await self._answer(scope, receive, send, environ, https=https)
        except Problem as problem:
            answer = _of_problem(problem)
        if answer is not None:
            await _send(answer, scope, send, https=https)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, environ: dict[str, Any], *, https: bool
    ) -> Answer | None:
        """None: it was answered. Raises Problem."""
        path: str = scope["path"]
        if path.startswith("/health/") or path == METRICS_PATH:
            return await self._of_operators(path, environ)
        address = self._edge.proxies.client_address(environ)
        if self._edge.require_https and not https and not is_loopback(address):
            raise HttpsRequired
        if path.rstrip("/") != "/socket.io" or self._edge.socket_io is None:
            raise NotFound
        try:
            self._edge.origins.check(environ.get("HTTP_ORIGIN"))
            arrival = self._arrival(scope, environ["QUERY_STRING"], address)
        except Problem as problem:
            REFUSED.labels(problem.error).inc()
            raise
        send = _with_code(send, arrival)
        try:
            await self._edge.socket_io.handle_request({**scope, ARRIVAL: arrival}, receive, send)
        except UNREADABLE as error:
            structlog.get_logger().warning("socket_unreadable", cause=type(error).__name__)
            if arrival.client is None or scope["type"] != "websocket":
                raise MalformedRequest from None
            arrival.client.end(Closing.MALFORMED)
            await send({"type": "websocket.close"})
        return None

    def _arrival(self, scope: Scope, query: str, address: str) -> Arrival:
        """Raises TooBusy, TooManySockets."""
        session = parse_qs(query).get("sid", [None])[0]
        arrival = Arrival(address, scope.get("extensions", {}).get(ABORT))
        if session is None:
            if scope.get("method", "GET") == "GET":
                self._check_room(address)
        elif scope["type"] == "websocket" and (client := self._edge.clients.get(session)) is not None:
            arrival.belongs_to(client)  # which began by polling
        return arrival

    def _check_room(self, address: str) -> None:
        if self.draining:
            raise TooBusy("This server is restarting. Connect again", seconds=RESTART_SECONDS)
        self._edge.caps.check(address)

    async def _of_operators(self, path: str, environ: dict[str, Any]) -> Answer:
        token = self._edge.metrics_token
        if path == METRICS_PATH and (token is None or not has_token(environ.get("HTTP_AUTHORIZATION", ""), token)):
            raise NotFound
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            raise MethodNotAllowed(headers={"Allow": "GET, HEAD"})
        if path == METRICS_PATH:
            return Answer((await asyncio.to_thread(self._edge.metrics.text)).encode(), CONTENT_TYPE)
        if path == "/health/live":
            return Answer(b'{"status":"ok"}')
        if path != "/health/ready":
            raise NotFound
        if self.draining:
            raise TooBusy("This server is restarting", seconds=RESTART_SECONDS)
        found = await asyncio.to_thread(readiness, self._edge.health)
        return Answer(found.model_dump_json().encode(), status=503 if found.status == "not_ready" else 200)


def _with_code(send: Send, arrival: Arrival) -> Send:
    """Why a WebSocket is closed."""

    async def send_with_code(message: MutableMapping[str, Any]) -> None:
        closing = arrival.client and arrival.client.closing
        if message["type"] == "websocket.close" and closing:
            message = {**message, "code": closing.code, "reason": closing.reason}
        await send(message)

    return send_with_code


def _environ(scope: Scope) -> dict[str, Any]:
    """Of a WSGI request, what the edge of the API reads."""
    environ: dict[str, Any] = {
        "REMOTE_ADDR": (scope.get("client") or ("",))[0],
        "REQUEST_METHOD": scope.get("method", "GET"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "wsgi.url_scheme": {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"]),
    }
    for name, value in scope["headers"]:
        if b"_" in name:
            continue  # `X_Forwarded_For` must not become the same variable as `X-Forwarded-For`
        key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    return environ


def _of_problem(problem: Problem) -> Answer:
    body = orjson.dumps(problem.body(current_request_id()))
    return Answer(body, PROBLEM_JSON, problem.status, tuple(problem.headers.items()))


async def _send(answer: Answer, scope: Scope, send: Send, *, https: bool) -> None:
    """Also in place of a WebSocket (ASGI, WebSocket Denial Response)."""
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    headers = [
        ("Content-Type", answer.content_type),
        ("Content-Length", str(len(answer.body))),
        *answer.headers,
        *headers_of_all(https=https),
        ("X-Request-ID", current_request_id()),
    ]
    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    await send({"type": f"{kind}.start", "status": answer.status, "headers": encoded})
    await send({"type": f"{kind}.body", "body": b"" if scope.get("method") == "HEAD" else answer.body})
