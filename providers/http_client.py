"""HTTP to providers: one asyncio loop in a thread of this process, with one session of aiohttp on it.

Threads wait for their own call only, which its deadline or the end of the process cancels wherever it is, also in a read.
"""

import asyncio
import atexit
import os
import threading
import weakref
from collections.abc import Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any

import aiohttp

from providers.problems import CallStopped, ProviderBroke, ProviderFailed, ProviderTimedOut, ProviderUnreachable

LARGEST_REPLY = 1024 * 1024
MOST_CONNECTIONS = 100
"""Of a process, to all providers. Calls beyond it wait, within their deadline. Bulkheads of capabilities are far smaller."""
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


@dataclass(frozen=True, eq=False)
class _Running:
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    session: aiohttp.ClientSession


class HttpClient:
    """One per process. Nothing is started before the first call, and a forked process begins with nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: _Running | None = None
        os.register_at_fork(after_in_child=partial(_begin_anew, weakref.ref(self)))

    def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, deadline_seconds: float
    ) -> Reply:
        """The whole reply, whatever its status. Redirects are not followed, and nothing is sent twice.

        Raises ProviderUnreachable, ProviderTimedOut, ProviderBroke, CallStopped, and ProviderFailed for what is too large, encoded
        or no HTTP.
        """
        progress = _Progress()
        running = self._start()
        exchange = _exchange(
            running.session, progress, method, url, headers=headers, body=body, seconds=deadline_seconds
        )
        try:
            future = asyncio.run_coroutine_threadsafe(exchange, running.loop)
        except RuntimeError:  # it was closed a moment ago
            exchange.close()
            raise CallStopped(sent=0) from None
        try:
            return future.result(deadline_seconds + GRACE_SECONDS)
        except CancelledError:
            raise CallStopped(sent=int(progress.sent)) from None
        except TimeoutError:  # the loop did not come to end it
            raise _timed_out(progress) from None
        finally:
            future.cancel()

    def close(self) -> None:
        """Cancel the calls that run, and close the connections. The next call starts all anew."""
        with self._lock:
            running, self._running = self._running, None
        if running is None:
            return
        running.loop.call_soon_threadsafe(running.loop.stop)
        running.thread.join(CONNECT_SECONDS)

    def _start(self) -> _Running:
        with self._lock:
            if self._running is None:
                self._running = _started()
                atexit.register(self.close)
            return self._running

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._running = None  # the frame of its thread, which is not in this process, keeps it from being collected


def _begin_anew(reference: "weakref.ref[HttpClient]") -> None:
    if (client := reference()) is not None:
        client._forget()


def _started() -> _Running:
    loop = asyncio.new_event_loop()
    session = loop.run_until_complete(_open_session())
    thread = threading.Thread(target=_serve, args=(loop, session), name="providers", daemon=True)
    thread.start()
    return _Running(loop, thread, session)


def _serve(loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession) -> None:
    """Until it is told to stop. Then the calls are cancelled first, so that those who wait for them are told."""
    try:
        loop.run_forever()
        loop.run_until_complete(_end(session))
    finally:
        loop.close()


async def _end(session: aiohttp.ClientSession) -> None:
    calls = asyncio.all_tasks() - {asyncio.current_task()}
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await session.close()


async def _open_session() -> aiohttp.ClientSession:
    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(_note_sent)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=MOST_CONNECTIONS, keepalive_timeout=IDLE_SECONDS),
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


async def _exchange(
    session: aiohttp.ClientSession,
    progress: _Progress,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None,
    seconds: float,
) -> Reply:
    try:
        async with (
            asyncio.timeout(seconds),
            session.request(
                method,
                url,
                headers={**headers, "Accept-Encoding": "identity"},
                data=None if body is None else BytesIO(body),  # written in pieces
                allow_redirects=False,
                trace_request_ctx=progress,
            ) as response,
        ):
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise ProviderFailed("reply_encoded")  # it was not asked for, and 1 MB can unpack to 1 GB
            return Reply(response.status, response.headers.get("Retry-After"), await _read(response))
    except TimeoutError:
        raise _timed_out(progress) from None
    except asyncio.CancelledError:
        raise CallStopped(sent=int(progress.sent)) from None
    except aiohttp.ClientResponseError:
        raise ProviderFailed("reply_malformed") from None
    except (aiohttp.ClientError, OSError):
        raise ProviderBroke("connection_lost") if progress.sent else ProviderUnreachable("connect_failed") from None
    except ValueError:  # as aiohttp says of headers that cannot be
        raise ProviderFailed("reply_malformed", sent=int(progress.sent)) from None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > LARGEST_REPLY:
            response.close()
            raise ProviderFailed("reply_too_large")
    return bytes(body)


def _timed_out(progress: _Progress) -> ProviderFailed:
    return ProviderTimedOut() if progress.sent else ProviderUnreachable("connect_timeout")
