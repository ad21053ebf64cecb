"""The connection of a WebSocket in this process, and a client of it that reads only when it is told to."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from realtime.wire import WIRE, Wire

BUFFER = 16 * 1024
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
