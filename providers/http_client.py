"""HTTP to providers, by aiohttp on the providers' loop.

A thread that waits for a whole reply waits for its own call only, which its deadline or the end of the process cancels wherever it
is, also in a read. A stream is read on the loop, by whoever runs there.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import aiohttp

from providers.loop import ProviderLoop
from providers.problems import CallStopped, ProviderBroke, ProviderFailed, ProviderTimedOut, ProviderUnreachable

LARGEST_REPLY = 1024 * 1024
LARGEST_STREAM = 64 * 1024 * 1024
"""Of all bytes of a stream. A chunk of four characters of text takes 400 bytes on the wire; the text itself is bounded where it is
read."""
CONNECT_SECONDS = 5.0
IDLE_SECONDS = 15.0
"""How long a connection is kept. Nothing is sent twice, so one that the provider closes meanwhile costs the call on it."""
GRACE_SECONDS = 2.0
"""How long a thread waits beyond its deadline for a loop that is busy."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    retry_after: str | None
    body: bytes


@dataclass(slots=True)
class _Progress:
    """`sent` from just before the first byte of the request is written."""

    sent: bool = False


class HttpClient:
    """One per process. How many calls it makes at once is bounded by those who make them."""

    def __init__(self, loop: ProviderLoop) -> None:
        self.loop = loop
        self._opened: tuple[asyncio.AbstractEventLoop, aiohttp.ClientSession] | None = None

    def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, deadline_seconds: float
    ) -> Reply:
        """The whole reply, whatever its status. Redirects are not followed, and nothing is sent twice. Blocks the calling thread.

        Raises ProviderUnreachable, ProviderTimedOut, ProviderBroke, CallStopped, and ProviderFailed for what is too large, encoded
        or no HTTP.
        """
        progress = _Progress()
        future = self.loop.start(
            self._exchange(progress, method, url, headers=headers, body=body, seconds=deadline_seconds)
        )
        try:
            return future.result(deadline_seconds + GRACE_SECONDS)
        except CancelledError:
            raise CallStopped(sent=int(progress.sent)) from None
        except TimeoutError:  # the loop did not come to end it
            raise _timed_out(progress) from None
        finally:
            future.cancel()

    async def exchange(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        deadline_seconds: float,
        largest_reply: int = LARGEST_REPLY,
    ) -> Reply:
        """The whole reply to a POST, for a task on the providers' loop. Raises as `request` does. That a task is cancelled is left to
        it.
        """
        return await self._exchange(
            _Progress(), "POST", url, headers=headers, body=body, seconds=deadline_seconds, largest=largest_reply
        )

    async def stream(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        failure_of: Callable[[Reply], ProviderFailed],
        deadline_seconds: float,
        idle_seconds: float,
    ) -> AsyncGenerator[bytes, None]:
        """The body of the reply to a POST, as it comes in. For a task on the providers' loop.

        Closing the generator closes the connection; read to its end, the connection is kept. Raises as `request` does, and
        `failure_of` a reply that is not 200. A task that is cancelled before anything was sent gets CallStopped; after that its
        cancellation is left to it.
        """
        loop, progress = asyncio.get_running_loop(), _Progress()
        ends = loop.time() + deadline_seconds
        response: aiohttp.ClientResponse | None = None
        try:
            async with asyncio.timeout(min(deadline_seconds, idle_seconds)):
                response = await self._sent(progress, "POST", url, headers, body)
                if response.status != 200:
                    raise failure_of(await _whole(response))
            watch, received = _Watch(loop, response, idle_seconds, ends), 0
            try:
                while data := await watch.read():
                    received += len(data)
                    if received > LARGEST_STREAM:
                        raise ProviderFailed("reply_too_large")
                    yield data
            finally:
                watch.end()
        except asyncio.CancelledError:
            if progress.sent:
                raise
            raise CallStopped(sent=0) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _failure(error, progress) from None
        finally:
            if response is not None:
                response.close()

    async def _exchange(
        self,
        progress: _Progress,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        seconds: float,
        largest: int = LARGEST_REPLY,
    ) -> Reply:
        try:
            async with asyncio.timeout(seconds):
                response = await self._sent(progress, method, url, headers, body)
                try:
                    return await _whole(response, largest)
                finally:
                    response.close()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _failure(error, progress) from None

    async def _sent(
        self, progress: _Progress, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> aiohttp.ClientResponse:
        """Its head has come. Raises ProviderFailed for a body that is encoded."""
        response = await self._session().request(
            method,
            url,
            headers={**headers, "Accept-Encoding": "identity"},
            data=None if body is None else BytesIO(body),  # written in pieces
            allow_redirects=False,
            trace_request_ctx=progress,
        )
        if response.headers.get("Content-Encoding", "identity") != "identity":
            response.close()
            raise ProviderFailed("reply_encoded")  # it was not asked for, and 1 MB can unpack to 1 GB
        return response

    def _session(self) -> aiohttp.ClientSession:
        """Of the loop that runs, for after a fork or a stop it is another one."""
        loop = asyncio.get_running_loop()
        if self._opened is None or self._opened[0] is not loop:
            self._opened = (loop, _open_session())
            self.loop.at_end(self._opened[1].close)
        return self._opened[1]


class _Watch:
    """Reads a stream, and closes it when nothing comes for too long, or at its end of time. One timer for the whole stream is far
    cheaper than a time limit for each read.
    """

    __slots__ = ("_content", "_ends", "_idle", "_loop", "_response", "_timed_out", "_timer", "_waits_since")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, response: aiohttp.ClientResponse, idle: float, ends: float
    ) -> None:
        self._loop, self._response, self._idle, self._ends = loop, response, idle, ends
        self._content = response.content
        self._waits_since: float | None = None
        self._timed_out = False
        self._timer = loop.call_at(min(ends, loop.time() + idle), self._look)

    async def read(self) -> bytes:
        """What has come in, empty at the end. Raises TimeoutError, and what aiohttp raises."""
        self._waits_since = self._loop.time()
        try:
            return await self._content.readany()
        except (aiohttp.ClientError, RuntimeError) as error:  # the latter says that the connection was closed
            if self._timed_out:
                raise TimeoutError from None
            raise error if isinstance(error, aiohttp.ClientError) else ConnectionError from None
        finally:
            self._waits_since = None

    def end(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        """Silence is counted only while somebody waits for more."""
        now = self._loop.time()
        due = min(self._ends, (now if self._waits_since is None else self._waits_since) + self._idle)
        if now < due:
            self._timer = self._loop.call_at(due, self._look)
            return
        self._timed_out = True
        self._response.close()


def _open_session() -> aiohttp.ClientSession:
    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(_note_sent)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trace_configs=[tracing],
        trust_env=False,  # no proxy of the environment comes between
    )


async def _note_sent(
    _session: aiohttp.ClientSession, context: Any, _sent: aiohttp.TraceRequestHeadersSentParams
) -> None:
    context.trace_request_ctx.sent = True


async def _whole(response: aiohttp.ClientResponse, largest: int = LARGEST_REPLY) -> Reply:
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > largest:
            raise ProviderFailed("reply_too_large")
    return Reply(response.status, response.headers.get("Retry-After"), bytes(body))


def _failure(error: Exception, progress: _Progress) -> ProviderFailed:
    """What an exception of aiohttp means."""
    if isinstance(error, TimeoutError):
        return _timed_out(progress)
    if isinstance(error, aiohttp.ClientResponseError):
        return ProviderFailed("reply_malformed")
    if isinstance(error, aiohttp.ClientError | OSError):
        return ProviderBroke("connection_lost") if progress.sent else ProviderUnreachable("connect_failed")
    return ProviderFailed("reply_malformed", sent=int(progress.sent))  # ValueError, of headers that cannot be


def _timed_out(progress: _Progress) -> ProviderFailed:
    return ProviderTimedOut() if progress.sent else ProviderUnreachable("connect_timeout")
