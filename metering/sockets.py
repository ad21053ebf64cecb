"""What a capability offers to clients that keep a socket open, and what it is handed for that.

Types alone: the handlers know no server, and where there is none nothing of them runs. Everything here is called on the loop
of the realtime process and must not block it: whatever waits for PostgreSQL or Redis goes through `Socket.blocking`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, TypeVarTuple, Unpack
from uuid import UUID

from pydantic import BaseModel

from auth.principal import Caller
from auth.tiers import Tier

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class SocketClosed(Exception):
    """The client has gone, or was closed because it read too slowly."""


class Socket(Protocol):
    """One connected client of one user."""

    @property
    def id(self) -> str: ...

    @property
    def caller(self) -> Caller:
        """As of the last check: at connect, when the client refreshes its token, every minute, and when the account changes."""

    @property
    def kept(self) -> dict[str, Any]:
        """What the handlers keep for this socket. It ends with it."""

    def join(self, room: str) -> None:
        """Rooms are those of one user: nobody else's socket is ever in it. Whether the user may join it, the handler asks."""

    def leave(self, room: str) -> None: ...

    def joined(self, room: str) -> bool: ...

    def emit(self, event: str, *payload: object) -> None:
        """Never waits. A socket whose queue is full is closed. After its end nothing happens.

        On a socket of a path the payload is one mapping: the members of the message beside `type`.
        """

    async def send(self, event: str, *payload: object) -> None:
        """Waits until the queue has room, for whoever produces much. Raises SocketClosed, also for one that reads too slowly."""

    def close(self, code: int, reason: str) -> None:
        """What waits is sent first. `code`: of the WebSocket's close. `reason`: a word, for clients, logs and metrics. What
        was begun by `start` is cancelled.
        """

    async def blocking(self, work: Callable[[Unpack[Arguments]], Result], *arguments: *Arguments) -> Result:
        """In a pool of threads, with the application's context."""

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that is cancelled when the socket ends. What it raises is logged."""


class Sockets(Protocol):
    """All that are open in this process."""

    def all(self) -> Sequence[Socket]: ...

    def of_user(self, user_id: UUID) -> Sequence[Socket]: ...

    def in_room(self, user_id: UUID, room: str) -> Sequence[Socket]: ...

    async def blocking(self, work: Callable[[Unpack[Arguments]], Result], *arguments: *Arguments) -> Result:
        """As that of a socket, for what is done for several."""

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that ends with the process. What it raises is logged."""


Handle = Callable[[Socket, Any], Awaitable[Mapping[str, object]]]
"""Takes the body, and returns the members of the acknowledgement beside `ok`. A Problem that it raises is acknowledged instead.

On a socket of a path there are no acknowledgements: what it returns is ignored, and a Problem is told by the message `error`.
Messages of one socket are handled one after the other, so what takes long goes through `Socket.start`.
"""


@dataclass(frozen=True)
class SocketEvent:
    """What a client may send. `body`: the strict model of its one argument; None for bytes, which are handed on as they are.

    A socket that sends more of them than `per_second`, or one above `largest` bytes, is closed. `error`: the event by which a client
    is told of a Problem that asked for no acknowledgement.

    On a socket of a path `name` is the message's `type`, and `body` a `Message`, with the members beside `type`. It takes any message
    that arrives, so `largest` and `error` mean nothing there.
    """

    name: str
    body: type[BaseModel] | None
    handle: Handle
    per_second: int = 30
    largest: int = 100 * 1024
    error: str = "error"


def nothing(*_: object) -> None:
    """For a capability that has nothing to do then."""


@dataclass(frozen=True)
class SocketEvents:
    """`scope`: what an API key needs; None when none opens a socket. `sockets`: open at once, for a user of that plan. `told`: by
    event, the model of what clients hear. `started` is called once. `heard`: by channel of NOTIFY, what to do with its payload.
    `reconnected`: nothing was heard for a while, and anything may have happened meanwhile. `ended`: this socket, on which somebody
    had signed in, is closed.

    `path`: None for events of Socket.IO, which one capability may have. Otherwise a WebSocket of its own, such as `/ws/terminal`,
    on which each text frame is one JSON object with a `type`. `subprotocol`: confirmed to clients that offer it. `description`:
    of what passes over it, for the OpenAPI document. Within `sign_in_seconds` somebody must have signed in. `page`: the product
    whose page's token opens it too, where no API key does. `metered`: it takes a confirmed address, as metered calls do.
    """

    scope: str | None
    sockets: Mapping[Tier, int]
    events: Sequence[SocketEvent]
    told: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    started: Callable[[Sockets], None] = nothing
    heard: Mapping[str, Callable[[str], None]] = field(default_factory=dict)
    reconnected: Callable[[], None] = nothing
    ended: Callable[[Socket], None] = nothing
    path: str | None = None
    subprotocol: str | None = None
    description: str = ""
    sign_in_seconds: float = 10.0
    page: str | None = None
    metered: bool = False
