"""The connection of a WebSocket, with a client that keeps no rules."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from realtime.wire import WIRE, Wire

BUFFER = 16 * 1024
PINGS_BYTES = 1024 * 1024
LONG_SECONDS = 600
HANDSHAKE = (
    b"GET /ws/any HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
TEXT, PING = 1, 9


def frame(opcode: int, payload: bytes) -> bytes:
    return struct.pack("!BB4x", 0x80 | opcode, 0x80 | len(payload)) + payload  # masked with zeros


class Peer:
    """Reads nothing unless it is told to."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._loop = connection, asyncio.get_running_loop()

    async def send(self, sent: bytes) -> None:
        await self._loop.sock_sendall(self._connection, sent)

    async def read(self) -> bytes:
        return await self._loop.sock_recv(self._connection, 65536)


Test = Callable[[Wire, Peer], Awaitable[None]]


def run(test: Test) -> None:
    """With the wire and its client, after the handshake."""

    async def opened() -> None:
        wires: asyncio.Queue[Wire] = asyncio.Queue()

        async def accept(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            wires.put_nowait(scope["extensions"][WIRE])
            while (await receive())["type"] != "websocket.disconnect":
                pass

        config = uvicorn.Config(
            accept,
            ws_ping_interval=LONG_SECONDS,
            ws_ping_timeout=LONG_SECONDS,
            ws_per_message_deflate=False,
            log_config=None,
        )
        config.load()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        loop, state = asyncio.get_running_loop(), ServerState()
        server = await loop.create_server(lambda: Wire(config, state, {}), sock=listener)
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            client.setblocking(False)
            await loop.sock_connect(client, listener.getsockname())
            peer = Peer(client)
            await peer.send(HANDSHAKE)
            await peer.read()
            wire = await wires.get()
            async with asyncio.timeout(20):
                await test(wire, peer)
            wire.abort()
        server.close()

    asyncio.run(opened())


def test_answers_to_pings_are_not_kept_for_who_does_not_read() -> None:
    async def test(wire: Wire, peer: Peer) -> None:
        pings = frame(PING, b"x" * 125) * 100
        for _ in range(PINGS_BYTES // len(pings)):
            await peer.send(pings)
            await asyncio.sleep(0)
        assert not wire.is_writable
        assert wire.unsent < PINGS_BYTES / 4

    run(test)


def test_it_knows_what_was_taken_and_tells_when_there_is_room() -> None:
    async def test(wire: Wire, peer: Peer) -> None:
        room = asyncio.Event()
        wire.has_room = room.set
        wire.write(b"a")
        assert (wire.taken, wire.unsent, wire.is_writable) == (3, 0, True)
        written = 3
        while wire.is_writable:
            wire.write(b"x" * 10_000)
            written += 4 + 10_000
        assert 0 < wire.unsent == written - wire.taken
        taken = wire.taken
        while not room.is_set():
            await peer.read()
        assert wire.is_writable
        assert wire.taken > taken

    run(test)


def test_after_its_end_nothing_is_written() -> None:
    async def test(wire: Wire, _: Peer) -> None:
        wire.abort()
        while not wire.disconnected:
            await asyncio.sleep(0)
        wire.write(b"after the end")
        await wire.close(1000, "")

    run(test)


@pytest.mark.parametrize("sends", [True, False], ids=["sends", "silent"])
def test_a_late_answer_to_a_ping_is_forgiven_to_who_sends(sends: bool) -> None:
    async def test(wire: Wire, peer: Peer) -> None:
        wire.send_keepalive_ping()
        while sends and wire.heard_at <= wire.ping_sent_at:
            await peer.send(frame(TEXT, b"a"))
            await asyncio.sleep(0)
        wire.keepalive_timeout()
        assert wire.transport.is_closing() is not sends
        assert (wire.pong_timer is not None) is sends

    run(test)
