"""One ASGI application for everything that keeps a connection open, and for the health of its process."""

import asyncio
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import orjson
import structlog

from realtime.asgi import Connection, Receive, Scope, Send
from realtime.caps import Caps
from realtime.clients import Clients
from realtime.closing import MALFORMED
from realtime.message_sockets import MessageSockets, token_of
from realtime.metrics import REFUSED
from realtime.origin import OriginNotAllowed, Origins
from realtime.socket_io import ARRIVAL, SocketIo
from realtime.socket_io_client import SocketIoClient
from realtime.wire import WIRE, Wire
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

RESTART_SECONDS = 5
UNREADABLE = (ValueError, LookupError, TypeError)
"""What python-engineio raises for frames that it cannot read."""


class UpgradeRequired(Problem):
    """RFC 9110, 15.5.22."""

    status, error, title = 426, "upgrade_required", "This address is a WebSocket"

    def __init__(self) -> None:
        super().__init__("Connect with WebSocket", headers={"Upgrade": "websocket"})


@dataclass
class Arrival:
    """A request of Socket.IO. `wire`: when it is a WebSocket."""

    address: str
    wire: Wire | None
    client: SocketIoClient | None = None

    def belongs_to(self, client: SocketIoClient) -> None:
        self.client, client.abort = client, None if self.wire is None else self.wire.abort


@dataclass(frozen=True)
class Answer:
    body: bytes
    content_type: str = "application/json"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class SocketIoPart:
    server: SocketIo
    clients: Clients[SocketIoClient]


@dataclass(frozen=True)
class Edge:
    """What stands in front of every request. `socket_io` None: no capability that is on has events. `paths`: what others have."""

    origins: Origins
    proxies: TrustedProxies
    require_https: bool
    caps: Caps
    health: HealthCheck
    metrics: Metrics
    metrics_token: str | None
    socket_io: SocketIoPart | None
    paths: Mapping[str, MessageSockets]


class RealtimeApp:
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
        connection = Connection(scope, receive, send)
        own, socket_io = self._edge.paths.get(path), self._edge.socket_io
        if own is None and (socket_io is None or path.rstrip("/") != "/socket.io"):
            raise NotFound
        try:
            if own is not None:
                await self._message_socket(own, connection, environ, address)
            elif socket_io is not None:
                await self._socket_io(socket_io, connection, environ, address)
        except Problem as problem:
            REFUSED.labels(problem.error).inc()
            raise
        return None

    async def _message_socket(
        self, own: MessageSockets, connection: Connection, environ: dict[str, Any], address: str
    ) -> None:
        if connection.scope["type"] != "websocket":
            raise UpgradeRequired
        origin = environ.get("HTTP_ORIGIN")
        self._edge.origins.check(origin)
        token = token_of(environ["QUERY_STRING"])
        if origin is None and token is None and "HTTP_COOKIE" in environ:
            raise OriginNotAllowed("Cookies open no socket. Leave the Cookie header out, and send a token")
        self._check_room(address)
        await own.handle(connection, address, token)

    async def _socket_io(
        self, part: SocketIoPart, connection: Connection, environ: dict[str, Any], address: str
    ) -> None:
        scope = connection.scope
        self._edge.origins.check(environ.get("HTTP_ORIGIN"))
        arrival = self._arrival(part, scope, environ["QUERY_STRING"], address)
        send = _with_code(connection.send, arrival)
        try:
            await part.server.handle_request({**scope, ARRIVAL: arrival}, connection.receive, send)
        except UNREADABLE as error:
            structlog.get_logger().warning("socket_unreadable", cause=type(error).__name__)
            if arrival.client is None or scope["type"] != "websocket":
                raise MalformedRequest from None
            arrival.client.end(MALFORMED)
            await send({"type": "websocket.close"})

    def _arrival(self, part: SocketIoPart, scope: Scope, query: str, address: str) -> Arrival:
        """Raises TooBusy, TooManySockets."""
        session = parse_qs(query).get("sid", [None])[0]
        arrival = Arrival(address, scope.get("extensions", {}).get(WIRE))
        if session is None:
            if scope.get("method", "GET") == "GET":
                self._check_room(address)
        elif scope["type"] == "websocket" and (client := part.clients.get(session)) is not None:
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
