"""What an ASGI application is called with."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True)
class Connection:
    """A request, or a WebSocket that wants to be opened."""

    scope: Scope
    receive: Receive
    send: Send
