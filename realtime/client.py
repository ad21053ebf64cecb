"""One connected client: metering.sockets.Socket on python-socketio."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from enum import Enum
from time import monotonic, time
from typing import Any, TypeVar, TypeVarTuple, Unpack

import structlog
from engineio import packet as engine
from socketio import packet as protocol

from auth.principal import Caller
from database.blocking import Blocking
from metering.sockets import SocketClosed
from realtime.bodies import Expiring
from realtime.callers import Admitted
from realtime.metrics import CLOSED, CONNECTED
from realtime.send_queue import SendQueue
from security.edge.request_id import in_this_exchange

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

SIGN_IN_SECONDS = 10.0
TOLD_SECONDS = 1.0
WARNED_SECONDS = 60.0
LINGER_SECONDS = 5.0
"""For what is still to be sent. Then the connection is cut off, whether or not the client read it."""


class Closing(Enum):
    """Why a socket ended. `code`: of the WebSocket's close (RFC 6455, 7.4). `for_good`: the client is told not to come back by itself,
    because the same would happen again.
    """

    LEFT = "left", 1000, False
    LOST = "lost", 1001, False
    RESTART = "restart", 1012, False
    SLOW = "slow", 4408, False
    NOT_SIGNED_IN = "not_signed_in", 4401, True
    EXPIRED = "expired", 4401, True
    REVOKED = "revoked", 4401, True
    MALFORMED = "malformed", 4400, True
    TOO_LARGE = "too_large", 1009, True
    TOO_MANY = "too_many", 4429, True

    def __init__(self, reason: str, code: int, for_good: bool) -> None:
        self.reason, self.code, self.for_good = reason, code, for_good


class Meter:
    """How much a client sent: of each kind in this second, and the bytes of the message that is arriving."""

    def __init__(self) -> None:
        self.arriving = 0
        self.events = 0
        self._second = 0
        self._counts: Counter[str] = Counter()

    def over(self, kind: str, most: int) -> bool:
        """Count one more. Whether it was more than may come in a second."""
        second = int(monotonic())
        if second != self._second:
            self._second = second
            self._counts.clear()
        self._counts[kind] += 1
        return self._counts[kind] > most


@dataclass(frozen=True)
class Surroundings:
    """What a client needs of its process. `ended` is called once for each."""

    threads: Blocking
    close: Callable[[str], Coroutine[Any, Any, None]]
    ended: "Callable[[Client], None]"


class Client:
    """Ends once, by `end`, whoever notices first. Until `admit` nobody has signed in on it."""

    def __init__(self, id_: str, address: str, queue: SendQueue, surroundings: Surroundings) -> None:
        self.id = id_
        """Of its engine.io session. What Socket.IO calls the socket's id is of no use here."""
        self.address = address
        self.kept: dict[str, Any] = {}
        self.token = ""
        self.admitted: Admitted | None = None
        self.was_refused = False
        self.judged_at = 0.0
        """On the monotonic clock."""
        self.closing: Closing | None = None
        self.meter = Meter()
        self.abort: Callable[[], None] | None = None
        """Cuts its WebSocket off."""
        self.queue = queue
        self._surroundings = surroundings
        self._since = monotonic()
        self._rooms: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._timers = [self._loop.call_later(SIGN_IN_SECONDS, self.end, Closing.NOT_SIGNED_IN)]

    @property
    def caller(self) -> Caller:
        assert self.admitted is not None  # nobody is handed a socket before
        return self.admitted.caller

    def admit(self, token: str, admitted: Admitted) -> None:
        """At first, and again with each new token."""
        if self.admitted is None:
            CONNECTED.inc()
        self.token, self.admitted, self.judged_at = token, admitted, monotonic()
        self._stop_timers()
        if admitted.expires_at is not None:
            left = admitted.expires_at - time()
            self._timers = [
                self._loop.call_later(max(0.0, left - WARNED_SECONDS), self._warn, admitted.expires_at),
                self._loop.call_later(max(0.0, left), self.end, Closing.EXPIRED),
            ]

    def refused(self) -> None:
        """It is told why, and must begin anew."""
        self.was_refused = True
        self._stop_timers()
        self._timers = [self._loop.call_later(TOLD_SECONDS, self.end, Closing.NOT_SIGNED_IN)]

    def join(self, room: str) -> None:
        self._rooms.add(room)

    def leave(self, room: str) -> None:
        self._rooms.discard(room)

    def joined(self, room: str) -> bool:
        return room in self._rooms

    def emit(self, event: str, *payload: object) -> None:
        if self.queue.is_full:
            self.end(Closing.SLOW)
        self._put(protocol.Packet(protocol.EVENT, data=[event, *payload]))

    async def send(self, event: str, *payload: object) -> None:
        await self.queue.room()
        if self.closing is not None:
            raise SocketClosed
        self._put(protocol.Packet(protocol.EVENT, data=[event, *payload]))

    async def acknowledge(self, number: int, answer: object) -> None:
        """A client that does not read waits for what it asked."""
        await self.queue.room()
        self._put(protocol.Packet(protocol.ACK, data=[answer], id=number))

    async def blocking(self, work: Callable[[Unpack[Arguments]], Result], *arguments: *Arguments) -> Result:
        return await self._surroundings.threads.run(in_this_exchange(work), *arguments)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        if self.closing is not None:
            task.cancel()
        return task

    def end(self, closing: Closing) -> None:
        """What waits is sent first, while the client takes it."""
        if self.closing is not None:
            return
        self.closing = closing
        if self.admitted is not None:
            CLOSED.labels(closing.reason).inc()
            structlog.get_logger().info(
                "socket_closed",
                socket=self.id,
                user_id=self.caller.user_id,
                reason=closing.reason,
                seconds=round(monotonic() - self._since, 1),
                events=self.meter.events,
            )
        if closing.for_good:
            self._put(protocol.Packet(protocol.DISCONNECT))
            self.queue.put_nowait(engine.Packet(engine.CLOSE))
        self.queue.put_nowait(None)
        self._stop_timers()
        for task in self._tasks:
            task.cancel()
        self._surroundings.ended(self)
        self._loop.call_later(LINGER_SECONDS, self._cut_off)
        closed = self._loop.create_task(self._surroundings.close(self.id))
        self._tasks.add(closed)  # or it might be collected before it has ended
        closed.add_done_callback(self._tasks.discard)

    def is_behind(self, seconds: float) -> bool:
        since = self.queue.waits_since
        return since is not None and monotonic() - since > seconds

    def was_judged_before(self, seconds: float) -> bool:
        return self.admitted is not None and monotonic() - self.judged_at > seconds

    def _put(self, sent: protocol.Packet) -> None:
        encoded: str | Sequence[str | bytes] = sent.encode()
        for part in [encoded] if isinstance(encoded, str) else encoded:
            self.queue.put_nowait(engine.Packet(engine.MESSAGE, part))

    def _warn(self, expires_at: int) -> None:
        self.emit("auth:expiring", Expiring(expires_in=max(0, round(expires_at - time()))).model_dump())

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, SocketClosed):
            structlog.get_logger().error("socket_task_failed", socket=self.id, exc_info=error)

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers = []

    def _cut_off(self) -> None:
        if self.abort is not None:
            self.abort()
