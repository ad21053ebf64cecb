"""python-socketio's server with what strangers on the internet would use against it changed."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import engineio
import socketio
from socketio.exceptions import ConnectionRefusedError as Refused

from metering.sockets import Socket, SocketEvent
from realtime.answer_event import AnswerEvents
from realtime.bodies import Refresh
from realtime.client import Surroundings
from realtime.clients import Clients
from realtime.closing import LEFT, LOST, MALFORMED, TOO_LARGE, TOO_MANY
from realtime.metrics import REFUSED
from realtime.send_queue import SendQueue
from realtime.sign_in import SignIn
from realtime.socket_io_client import PacketQueue, SocketIoClient, bytes_of
from security.edge.problems import NotSignedIn, Problem
from security.edge.request_id import begin_exchange

ARRIVAL = "realtime.arrival"
"""Where the scope of a request has its `Arrival`."""
MESSAGES = " messages"
"""No event is called so."""
MOST_MESSAGES = 200
"""A second, of all kinds: an event with bytes in it takes several."""
LARGEST_MESSAGE = 128 * 1024
PING_SECONDS, PONG_SECONDS = 25, 20
HAS_LOST = {engineio.AsyncServer.reason.PING_TIMEOUT, engineio.AsyncServer.reason.TRANSPORT_ERROR}


def _without_what_clients_sent(record: logging.LogRecord) -> bool:
    """Errors of theirs are told by their type. All else repeats what a client sent."""
    if not record.exc_info or record.exc_info[0] is None:
        return False
    record.msg, record.args = f"{record.msg}: {record.exc_info[0].__name__}", ()
    record.exc_info = None
    record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


LOGGER = logging.getLogger("realtime.socket_io")
LOGGER.addFilter(_without_what_clients_sent)


class Engine(engineio.AsyncServer):  # type: ignore[misc]
    def create_queue(self, *_: Any, **__: Any) -> PacketQueue:
        return SendQueue(bytes_of)


class SocketIo(socketio.AsyncServer):  # type: ignore[misc]
    """Messages of one client are dealt with one after the other: while one is, no more is read of it.

    `message`, `connect` and `disconnect` are no events of ours, but clients may send such names; so events do not go by the names that
    python-socketio looks its own handlers up by.
    """

    def __init__(
        self,
        clients: Clients[SocketIoClient],
        sign_in: SignIn,
        events: Sequence[SocketEvent],
        surroundings: Surroundings,
    ) -> None:
        super().__init__(
            async_mode="asgi",
            async_handlers=False,
            always_connect=False,
            namespaces=["/"],
            cors_allowed_origins="*",  # origin.py has refused the others: this writes the answer's headers
            cors_credentials=False,
            http_compression=False,
            max_http_buffer_size=LARGEST_MESSAGE,
            ping_interval=PING_SECONDS,
            ping_timeout=PONG_SECONDS,
            logger=LOGGER,
            engineio_logger=LOGGER,
        )
        self._clients, self._sign_in, self._surroundings = clients, sign_in, surroundings
        self._events = AnswerEvents((SocketEvent("auth:refresh", Refresh, self._refresh, per_second=5), *events))
        self.on("connect", self._let_in)

    def _engineio_server_class(self) -> type[Engine]:
        return Engine

    async def close(self, engine_id: str) -> None:
        """The engine.io session of a client that has ended."""
        if (session := self.eio.sockets.get(engine_id)) is not None:
            await session.close(wait=False, abort=True, reason=self.reason.SERVER_DISCONNECT)

    async def _handle_eio_connect(self, engine_id: str, environ: dict[str, Any]) -> None:
        await super()._handle_eio_connect(engine_id, environ)
        arrival = environ["asgi.scope"][ARRIVAL]
        queue = self.eio.sockets[engine_id].queue
        client = SocketIoClient(engine_id, arrival.address, self._surroundings, queue, self.close)
        arrival.belongs_to(client)
        self._clients.arrived(client)
        client.must_sign_in()

    async def _handle_eio_disconnect(self, engine_id: str, reason: str) -> None:
        await super()._handle_eio_disconnect(engine_id, reason)
        if (client := self._clients.get(engine_id)) is not None:
            client.end(LOST if reason in HAS_LOST else LEFT)

    async def _handle_eio_message(self, engine_id: str, data: str | bytes) -> None:
        client = self._clients.get(engine_id)
        if client is None:
            return  # it has ended, and its connection does in a moment
        client.meter.arriving += len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode())
        if client.meter.over(MESSAGES, MOST_MESSAGES):
            client.end(TOO_MANY)
        elif client.meter.arriving > self._events.largest:
            client.end(TOO_LARGE)
        else:
            try:
                await super()._handle_eio_message(engine_id, data)
            except Exception:
                client.end(MALFORMED)
            if engine_id not in self._binary_packet:
                client.meter.arriving = 0

    async def _handle_event(self, engine_id: str, namespace: str | None, number: int | None, data: Any) -> None:
        client = self._clients.get(engine_id)
        if client is None or client.admitted is None or namespace not in {None, "/"}:
            return
        if not isinstance(data, list) or not data or not isinstance(data[0], str):
            raise TypeError("an event is a list that begins with its name")
        answer = await self._events.answer(client, data[0], data[1:])
        if answer is None:
            return
        if number is not None:
            await client.acknowledge(number, answer)
        elif not answer["ok"]:
            client.emit(self._events.error_of(data[0]), answer)

    async def _let_in(self, sid: str, environ: Mapping[str, Any], auth: Any) -> None:
        client = self._clients.get(self.manager.eio_sid_from_sid(sid, "/"))
        if client is None or client.was_refused:
            raise Refused("Open another socket")
        exchange = begin_exchange({})
        try:
            await self._sign_in.first(client, _token_of(auth))
        except Problem as problem:
            REFUSED.labels(problem.error).inc()
            client.refused()
            raise Refused(problem.detail, problem.body(exchange.request_id)) from None

    async def _refresh(self, socket: Socket, body: Refresh) -> Mapping[str, object]:
        client = self._clients.get(socket.id)
        assert client is not None
        return {"expires_at": (await self._sign_in.renew(client, body.token)).expires_at}


def _token_of(auth: Any) -> str:
    """`auth`: what the client sent with its connection, of any kind. Raises NotSignedIn."""
    token = auth.get("token") if isinstance(auth, dict) else None
    if not isinstance(token, str) or not token:
        raise NotSignedIn("Send an access token or an API key as `auth: {token}`")
    return token
