"""One caller's connection: requests are read whole, answers go out as bytes, as wrong as a test wants them.

All connections share one asyncio loop. Hundreds of streams run beside what is measured, and a thread for each would take
the processor from it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast
from urllib.parse import parse_qs, urlsplit

from sandbox.http_listener import Request

END_OF_HEAD = b"\r\n\r\n"


class ClientLeft(Exception):
    """The caller closed the connection before the answer's end."""


Answerer = Callable[[Request, "Connection"], Awaitable[None]]


class Connection(asyncio.Protocol):
    """Answers one request after the other. What is awaited here raises ClientLeft as soon as the caller is gone."""

    def __init__(self, answer: Answerer, open_ones: set["Connection"], *, largest_body: int) -> None:
        self._answer = answer
        self._open_ones = open_ones
        self._largest_body = largest_body
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._head: Request | None = None
        """Of the request whose body is still on its way."""
        self._waiting: asyncio.Future[None] | None = None
        self._full = False
        self._transport: asyncio.Transport
        self.answering: asyncio.Task[None] | None = None
        self.when_left: Callable[[], None] | None = None
        """Is called once, when the caller closes the connection."""

    async def write(self, data: bytes) -> None:
        """Waits for a caller that reads more slowly than we send."""
        self._check_still_there()
        self._transport.write(data)
        if self._full:
            await self._wait()

    async def pause(self, seconds: float | None) -> None:
        """Nothing is sent for so long; None: until the caller goes."""
        self._check_still_there()
        if seconds is None:
            await self._wait()
        elif seconds > 0:
            timer = self._loop.call_later(seconds, self._wake)
            try:
                await self._wait()
            finally:
                timer.cancel()
        else:
            await asyncio.sleep(0)

    def close(self) -> None:
        """What was written still arrives."""
        self.when_left = None
        self._transport.close()

    def abort(self) -> None:
        self.when_left = None
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._open_ones.add(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._answer_next()

    def eof_received(self) -> None:
        """A caller that will not speak again does not listen either: asyncio closes the connection."""
        self._leave()

    def connection_lost(self, exc: Exception | None) -> None:
        self._open_ones.discard(self)
        self._leave()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._wake()

    def _answer_next(self) -> None:
        if self.answering is None and not self._transport.is_closing() and (request := self._whole_request()):
            self.answering = self._loop.create_task(self._answered(request))

    async def _answered(self, request: Request) -> None:
        try:
            await self._answer(request, self)
        except ClientLeft:
            pass
        except BaseException:
            self.abort()
            raise
        finally:
            self.answering = None
        if request.headers.get("connection", "").lower() == "close":
            self.close()
        self._answer_next()

    def _whole_request(self) -> Request | None:
        if self._head is None:
            end = self._received.find(END_OF_HEAD)
            if end < 0:
                return None
            self._head = head_of(bytes(self._received[:end]).decode("latin-1"))
            del self._received[: end + len(END_OF_HEAD)]
        head = self._head
        length = int(head.headers.get("content-length") or 0)
        if length > self._largest_body:
            self._transport.write(b"HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: 0\r\n\r\n")
            self.close()
            return None
        if len(self._received) < length:
            return None
        body = bytes(self._received[:length])
        del self._received[:length]
        self._head = None
        return Request(head.method, head.path, head.query, head.headers, body)

    def _check_still_there(self) -> None:
        if self._transport.is_closing():  # also where a write has failed and asyncio has yet to tell us
            self._leave()
            raise ClientLeft

    def _leave(self) -> None:
        if self.when_left is not None:
            self.when_left()
            self.when_left = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ClientLeft())

    async def _wait(self) -> None:
        self._waiting = self._loop.create_future()
        await self._waiting

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def head_of(text: str) -> Request:
    """The request without its body."""
    first, *lines = text.split("\r\n")
    method, target, _ = first.split(" ")
    address = urlsplit(target)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Request(method, address.path, parse_qs(address.query), headers, b"")
