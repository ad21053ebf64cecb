"""The WebSocket of one path."""

from collections.abc import Mapping
from urllib.parse import parse_qs

import orjson

from database.base import uuid7
from metering.sockets import Socket, SocketEvent, SocketEvents
from realtime.answer_message import AnswerMessages
from realtime.asgi import Connection, Receive
from realtime.client import Client, Surroundings
from realtime.clients import Clients
from realtime.closing import MALFORMED
from realtime.message_client import MessageClient
from realtime.messages import Auth, Authenticated, AuthenticatedData, Ping
from realtime.sign_in import SignIn
from realtime.wire import WIRE
from security.edge.problems import InvalidToken, MalformedRequest, Problem, ValidationFailed, field_error

AUTH_PER_SECOND, PINGS_PER_SECOND = 5, 30
LARGEST_PING = 1024


class MessageSockets:
    """Messages of one client are dealt with one after the other: while one is, no more is read of it."""

    def __init__(
        self, offered: SocketEvents, clients: Clients[MessageClient], sign_in: SignIn, surroundings: Surroundings
    ) -> None:
        self._clients, self._sign_in, self._surroundings = clients, sign_in, surroundings
        self._subprotocol = offered.subprotocol
        beforehand = (
            SocketEvent("auth", Auth, self._auth, per_second=AUTH_PER_SECOND),
            SocketEvent("ping", Ping, self._ping, per_second=PINGS_PER_SECOND),
        )
        self._messages = AnswerMessages(beforehand, offered.events)

    async def handle(self, connection: Connection, address: str, token: str | None) -> None:
        """Until it ends. Raises Problem instead of an upgrade, when the token of the address is refused."""
        scope, receive = connection.scope, connection.receive
        client = MessageClient(str(uuid7()), address, self._surroundings, scope["extensions"][WIRE])
        self._clients.arrived(client)
        try:
            if token is not None:
                await self._sign_in.first(client, token)
            await receive()  # that it connects
            chosen = self._subprotocol if self._subprotocol in scope["subprotocols"] else None
            await connection.send({"type": "websocket.accept", "subprotocol": chosen})
            if token is None:
                client.must_sign_in()
            await self._read(client, receive)
        finally:
            client.gone()

    async def _read(self, client: MessageClient, receive: Receive) -> None:
        """Until the client has gone. When it is closed by us, what it still sends means nothing."""
        while (message := await receive())["type"] != "websocket.disconnect":
            if client.closing is not None:
                continue
            if (text := message.get("text")) is None:
                client.end(MALFORMED)
            else:
                await self._messages.answer(client, text)

    async def _auth(self, socket: Socket, body: Auth) -> Mapping[str, object]:
        client = self._clients.get(socket.id)
        if client is None:
            return {}  # it has ended meanwhile
        if client.admitted is None:
            await self._first(client, body.data.token)
        else:
            client.start(
                self._renew(client, body.data.token)
            )  # PostgreSQL may be slow, and other messages must not wait
        return {}

    async def _first(self, client: MessageClient, token: str) -> None:
        client.is_judged()
        try:
            await self._sign_in.first(client, token)
        except Problem as problem:
            client.refuse(problem)
        else:
            _tell_until_when(client)

    async def _renew(self, client: MessageClient, token: str) -> None:
        try:
            await self._sign_in.renew(client, token)
        except Problem as problem:
            client.tell_of(problem)
        else:
            _tell_until_when(client)

    async def _ping(self, socket: Socket, body: Ping) -> Mapping[str, object]:
        if len(orjson.dumps(body.data)) > LARGEST_PING:
            raise ValidationFailed([field_error(["data"], "too_long", f"Send at most {LARGEST_PING} bytes")])
        socket.emit("pong", {} if body.data is None else {"data": body.data})
        return {}


def _tell_until_when(client: Client) -> None:
    assert client.admitted is not None
    told = Authenticated(data=AuthenticatedData(expires_at=client.admitted.expires_at))
    client.emit("authenticated", told.model_dump())


def token_of(query: str) -> str | None:
    """That of the address. Raises MalformedRequest, InvalidToken."""
    tokens = parse_qs(query, keep_blank_values=True).get("token", [])
    if len(tokens) > 1:
        raise MalformedRequest("Send one token")
    if tokens == [""]:
        raise InvalidToken
    return tokens[0] if tokens else None
