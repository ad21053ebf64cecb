"""Many clients of Socket.IO over WebSocket or of a WebSocket alone, in a process of their own, so that they cost the measured ones
nothing but a processor.
"""

import asyncio
import json
import multiprocessing
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

AT_ONCE = 20
ANSWER_SECONDS = 20.0
END_SECONDS = 30.0
MOMENT = re.compile(r"(\d+\.\d{6}) ")
PROCESSES = multiprocessing.get_context("fork")


@dataclass
class Opened:
    """`seconds` it took to open them."""

    sockets: int
    seconds: float


@dataclass
class Heard:
    """How old each piece of a reply was when a socket had it, in milliseconds (bench/token_server.py). `whole`: sockets that had the
    end of every reply.
    """

    delay_ms: list[float] = field(default_factory=list)
    whole: int = 0


class Crowd:
    """Opens its sockets as fast as `AT_ONCE` of them can be opened at a time, and answers pings. One call at a time."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def open(self, port: int, tokens: Sequence[str], path: str | None = None) -> Opened:
        """One socket with each token, beside those that are open. `path`: of a WebSocket without Socket.IO, where nothing is said."""
        opened: Opened = self._ask(("open", port, tokens, path))
        return opened

    def close(self) -> None:
        """All of them."""
        self._ask(("close",))

    def listen(self, message: dict[str, Any], replies: int) -> Heard:
        """All sockets join a conversation that the first of them begins, and then so many messages are sent in it."""
        heard: Heard = self._ask(("listen", message, replies))
        return heard

    def _ask(self, request: tuple[Any, ...]) -> Any:
        self._pipe.send(request)
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def socket_crowd() -> Iterator[Crowd]:
    here, there = PROCESSES.Pipe()
    process = PROCESSES.Process(target=_serve, args=(there,), daemon=True)
    process.start()
    try:
        yield Crowd(here)
        here.send(None)
        process.join(END_SECONDS)
    finally:
        process.kill()
        process.join()
        for end in (here, there):
            end.close()


def _serve(pipe: Connection) -> None:
    os.nice(19)
    asyncio.run(_answer(pipe))


async def _answer(pipe: Connection) -> None:
    clients: list[Any] = []
    does: dict[str, Callable[..., Awaitable[object]]] = {"open": _open, "close": _close, "listen": _listen}
    while (request := await asyncio.to_thread(pipe.recv)) is not None:
        name, *arguments = request
        try:
            pipe.send(await does[name](clients, *arguments))
        except Exception as error:
            pipe.send(RuntimeError(f"{name}: {type(error).__name__}: {error}"))
    await _close(clients)


class _Silent:
    """On a path of its own, with its token in the address."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    @classmethod
    async def opened(cls, url: str) -> Self:
        return cls(await connect(url, compression=None, ping_interval=None, open_timeout=ANSWER_SECONDS, proxy=None))

    async def close(self) -> None:
        await self.connection.close()


class _Client:
    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.heard = Heard()
        self._answers: asyncio.Queue[Any] = asyncio.Queue()
        self._reads = asyncio.ensure_future(self._read())

    @classmethod
    async def opened(cls, port: int, token: str) -> Self:
        url = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
        connection = await connect(url, compression=None, ping_interval=None, open_timeout=ANSWER_SECONDS, proxy=None)
        await connection.recv()
        await connection.send(f"40{json.dumps({'token': token})}")
        answer = str(await connection.recv())
        if not answer.startswith("40"):
            raise RuntimeError(f"the sign-in was answered with {answer[:500]}")
        return cls(connection)

    async def ask(self, event: str, body: object) -> Any:
        await self.connection.send(f"420{json.dumps([event, body])}")
        (answer,) = await asyncio.wait_for(self._answers.get(), ANSWER_SECONDS)
        if not answer.get("ok"):
            raise RuntimeError(f"{event}: {answer}")
        return answer

    async def close(self) -> None:
        await self.connection.close()
        await self._reads

    async def _read(self) -> None:
        async for frame in self.connection:
            text = str(frame)
            if text == "2":
                with suppress(ConnectionClosed):  # while it is being closed
                    await self.connection.send("3")
            elif text.startswith("43"):
                self._answers.put_nowait(json.loads(text[2:].lstrip("0123456789")))
            elif '"delta"' in text:
                now = time.monotonic()
                self.heard.delay_ms += [(now - float(each)) * 1000 for each in MOMENT.findall(text)]
            elif '"end"' in text:
                self.heard.whole += 1


async def _open(clients: list[Any], port: int, tokens: Sequence[str], path: str | None) -> Opened:
    left = iter(tokens)
    began = time.monotonic()

    async def open_next() -> None:
        for token in left:
            if path is None:
                clients.append(await _Client.opened(port, token))
            else:
                clients.append(await _Silent.opened(f"ws://127.0.0.1:{port}{path}?token={token}"))

    await asyncio.gather(*(open_next() for _ in range(AT_ONCE)))
    return Opened(len(clients), time.monotonic() - began)


async def _close(clients: list[Any]) -> None:
    await asyncio.gather(*(client.close() for client in clients))
    clients.clear()


async def _listen(clients: list[_Client], message: dict[str, Any], replies: int) -> Heard:
    first = clients[0]
    begun = await first.ask("chat:stream", {**message, "idempotency_key": os.urandom(16).hex()})
    conversation = {"conversation_id": begun["conversation_id"]}
    await _ended([first], 1)
    await asyncio.gather(*(client.ask("conversation:join", conversation) for client in clients[1:]))
    for client in clients:
        client.heard = Heard()
    for number in range(1, replies + 1):
        await first.ask("chat:stream", {**message, **conversation, "idempotency_key": os.urandom(16).hex()})
        await _ended(clients, number)
    delays = [delay for client in clients for delay in client.heard.delay_ms]
    return Heard(delays, sum(client.heard.whole == replies for client in clients))


async def _ended(clients: Sequence[_Client], replies: int) -> None:
    until = time.monotonic() + 2 * END_SECONDS
    while not all(client.heard.whole >= replies for client in clients):
        if time.monotonic() > until:
            return
        await asyncio.sleep(0.05)
