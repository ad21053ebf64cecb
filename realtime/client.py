"""One connected client: what all have in common, whatever is spoken over the connection."""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from time import monotonic, time
from typing import Any, TypeVar, TypeVarTuple, Unpack

import structlog

from auth.principal import Caller
from database.blocking import Blocking
from metering.sockets import SocketClosed
from realtime.callers import Admitted
from realtime.closing import EXPIRED, NOT_SIGNED_IN, Closing
from realtime.metrics import CLOSED, CONNECTED
from security.edge.request_id import in_this_exchange

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

WARNED_SECONDS = 60.0
LINGER_SECONDS = 5.0
"""For what is still to be sent. Then the connection is cut off, whether or not the client read it."""


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
    ended: "Callable[[Client], None]"
    sign_in_seconds: float


class Client(ABC):
    """metering.sockets.Socket. Ends once, by `end`, whoever notices first. Until `admit` nobody has signed in on it."""

    def __init__(self, id_: str, address: str, surroundings: Surroundings) -> None:
        self.id = id_
        self.address = address
        self.kept: dict[str, Any] = {}
        self.token = ""
        self.admitted: Admitted | None = None
        self.judged_at = 0.0
        """On the monotonic clock."""
        self.closing: Closing | None = None
        self.meter = Meter()
        self._surroundings = surroundings
        self._since = monotonic()
        self._rooms: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def caller(self) -> Caller:
        assert self.admitted is not None  # nobody is handed a socket before
        return self.admitted.caller

    def must_sign_in(self) -> None:
        """Within the time that there is for it."""
        self._timers = [self._loop.call_later(self._surroundings.sign_in_seconds, self.end, NOT_SIGNED_IN)]

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
                self._loop.call_later(max(0.0, left), self.end, EXPIRED),
            ]

    def join(self, room: str) -> None:
        self._rooms.add(room)

    def leave(self, room: str) -> None:
        self._rooms.discard(room)

    def joined(self, room: str) -> bool:
        return room in self._rooms

    @abstractmethod
    def emit(self, event: str, *payload: object) -> None: ...

    @abstractmethod
    async def send(self, event: str, *payload: object) -> None: ...

    @abstractmethod
    def tell_expiring(self, seconds: int) -> None: ...

    @abstractmethod
    def tell_going_away(self, retry_after: float) -> None: ...

    @abstractmethod
    def is_behind(self, seconds: float) -> bool:
        """Whether it has been too slow for so long. Asked once a second."""

    async def blocking(self, work: Callable[[Unpack[Arguments]], Result], *arguments: *Arguments) -> Result:
        return await self._surroundings.threads.run(in_this_exchange(work), *arguments)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        if self.closing is not None:
            task.cancel()
        return task

    def close(self, code: int, reason: str) -> None:
        self.end(Closing(reason, code))

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
        self._say_last(closing)
        self._stop_timers()
        for task in self._tasks:
            task.cancel()
        self._surroundings.ended(self)
        self._loop.call_later(LINGER_SECONDS, self._cut_off)
        self._hang_up(closing)

    @abstractmethod
    def _say_last(self, closing: Closing) -> None:
        """Nothing is said after it."""

    @abstractmethod
    def _hang_up(self, closing: Closing) -> None:
        """When what waits has been sent."""

    @abstractmethod
    def _cut_off(self) -> None: ...

    def was_judged_before(self, seconds: float) -> bool:
        return self.admitted is not None and monotonic() - self.judged_at > seconds

    def _warn(self, expires_at: int) -> None:
        self.tell_expiring(max(0, round(expires_at - time())))

    def _keep_until_done(self, work: Coroutine[Any, Any, None]) -> None:
        """For what the end does not cancel."""
        task = self._loop.create_task(work)
        self._tasks.add(task)  # or it might be collected before it has ended
        task.add_done_callback(self._tasks.discard)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, SocketClosed):
            structlog.get_logger().error("socket_task_failed", socket=self.id, exc_info=error)

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers = []
