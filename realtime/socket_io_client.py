"""A client of Socket.IO."""

from collections.abc import Callable, Coroutine, Sequence
from time import monotonic
from typing import Any

from engineio import packet as engine
from socketio import packet as protocol

from metering.sockets import SocketClosed
from realtime.bodies import Expiring, GoingAway
from realtime.client import Client, Surroundings
from realtime.closing import NOT_SIGNED_IN, SLOW, Closing
from realtime.send_queue import SendQueue

TOLD_SECONDS = 1.0

PacketQueue = SendQueue[engine.Packet]


def bytes_of(packet: engine.Packet) -> int:
    return len(packet.data) if isinstance(packet.data, str | bytes) else 0


class SocketIoClient(Client):
    """`id_`: of its engine.io session. What Socket.IO calls the socket's id is of no use here. `close` ends that session."""

    def __init__(
        self,
        id_: str,
        address: str,
        surroundings: Surroundings,
        queue: PacketQueue,
        close: Callable[[str], Coroutine[Any, Any, None]],
    ) -> None:
        super().__init__(id_, address, surroundings)
        self.was_refused = False
        self.abort: Callable[[], None] | None = None
        """Cuts its WebSocket off."""
        self._queue, self._close = queue, close

    def refused(self) -> None:
        """It is told why, and must begin anew."""
        self.was_refused = True
        self._stop_timers()
        self._timers = [self._loop.call_later(TOLD_SECONDS, self.end, NOT_SIGNED_IN)]

    def emit(self, event: str, *payload: object) -> None:
        if self._queue.is_full:
            self.end(SLOW)
        self._put(protocol.Packet(protocol.EVENT, data=[event, *payload]))

    async def send(self, event: str, *payload: object) -> None:
        await self._queue.room()
        if self.closing is not None:
            raise SocketClosed
        self._put(protocol.Packet(protocol.EVENT, data=[event, *payload]))

    async def acknowledge(self, number: int, answer: object) -> None:
        """A client that does not read waits for what it asked."""
        await self._queue.room()
        self._put(protocol.Packet(protocol.ACK, data=[answer], id=number))

    def tell_expiring(self, seconds: int) -> None:
        self.emit("auth:expiring", Expiring(expires_in=seconds).model_dump())

    def tell_going_away(self, retry_after: float) -> None:
        self.emit("going_away", GoingAway(retry_after=retry_after).model_dump())

    def is_behind(self, seconds: float) -> bool:
        since = self._queue.waits_since
        return since is not None and monotonic() - since > seconds

    def _say_last(self, closing: Closing) -> None:
        if closing.for_good:
            self._put(protocol.Packet(protocol.DISCONNECT))
            self._queue.put_nowait(engine.Packet(engine.CLOSE))
        self._queue.put_nowait(None)

    def _hang_up(self, _: Closing) -> None:
        self._keep_until_done(self._close(self.id))

    def _cut_off(self) -> None:
        if self.abort is not None:
            self.abort()

    def _put(self, sent: protocol.Packet) -> None:
        encoded: str | Sequence[str | bytes] = sent.encode()
        for part in [encoded] if isinstance(encoded, str) else encoded:
            self._queue.put_nowait(engine.Packet(engine.MESSAGE, part))
