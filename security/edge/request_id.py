"""The names by which one request is known: its id, its place in a distributed trace, and later its caller."""

import os
import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar, TypeVarTuple, Unpack
from uuid import UUID

from database.base import uuid7

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

_WELL_FORMED_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
"""W3C Trace Context, 3.2. A version above 00 may carry more members."""


class Exchange:
    """One request and its answer, while it is being handled."""

    __slots__ = ("_trace", "_traceparent", "actor_id", "method", "request_id", "started", "user_id")

    def __init__(self, request_id: str, traceparent: str | None = None, method: str = "") -> None:
        self.request_id = request_id
        self.method = method
        self.started = time.perf_counter()
        self.user_id: UUID | None = None
        self.actor_id: UUID | None = None
        self._traceparent = traceparent
        self._trace: tuple[str, str] | None = None

    def trace(self) -> tuple[str, str]:
        """Trace id and flags: the caller's where well formed, else a new unsampled trace.

        Read once, on first use.
        """
        if self._trace is None:
            match = _TRACEPARENT.fullmatch(self._traceparent or "")
            if match and not (match["version"] == "00" and match["more"]):
                # Of the flags only "sampled" is ours to pass on (3.2.2.5).
                self._trace = match["trace"], f"{int(match['flags'], 16) & 1:02x}"
            else:
                self._trace = os.urandom(16).hex(), "00"
        return self._trace

    def names(self) -> dict[str, Any]:
        """What log lines call it."""
        names: dict[str, Any] = {"request_id": self.request_id, "trace_id": self.trace()[0]}
        if self.user_id is not None:
            names["user_id"] = self.user_id
        if self.actor_id is not None:
            names["actor_id"] = self.actor_id
        return names


_exchange: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


def begin_exchange(environ: Mapping[str, Any]) -> Exchange:
    """Start a request: take the client's `X-Request-ID` if it is well formed, else make one."""
    offered = environ.get("HTTP_X_REQUEST_ID")
    if offered is None or _WELL_FORMED_ID.fullmatch(offered) is None:
        offered = str(uuid7())
    exchange = Exchange(offered, environ.get("HTTP_TRACEPARENT"), environ.get("REQUEST_METHOD", ""))
    _exchange.set(exchange)
    return exchange


def in_this_exchange(work: Callable[[Unpack[Arguments]], Result]) -> Callable[[Unpack[Arguments]], Result]:
    """For a thread that works for who handles it, and has a context of its own."""
    exchange = _exchange.get()

    def run(*arguments: *Arguments) -> Result:
        _exchange.set(exchange)
        return work(*arguments)

    return run


def current_exchange() -> Exchange | None:
    return _exchange.get()


def note_caller(user_id: UUID | None, actor_id: UUID | None = None) -> None:
    """Remember who calls, for the log lines of this request; `actor_id` when somebody acts in the user's place."""
    exchange = _exchange.get()
    if exchange is not None:
        exchange.user_id, exchange.actor_id = user_id, actor_id


def current_request_id() -> str:
    """The id of the request that is being handled. Outside of one, an id that stays for the context."""
    return _started().request_id


def current_traceparent() -> str:
    """The `traceparent` for one outgoing call: this request's trace, with a parent id of its own for every
    call.
    """
    trace_id, flags = _started().trace()
    return f"00-{trace_id}-{secrets.token_hex(8)}-{flags}"


def _started() -> Exchange:
    return _exchange.get() or begin_exchange({})
