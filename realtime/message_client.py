"""A client of a WebSocket of its own, on which each text frame is a message: a JSON object with a `type`."""

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Any
from uuid import UUID

import orjson

from metering.socket_error import error_members
from metering.sockets import SocketClosed
from realtime.client import Client, Surroundings
from realtime.closing import SLOW, Closing
from realtime.messages import ExpiringData, ExpiringWarning, GoingAwayData, GoingAwayMessage
from realtime.metrics import REFUSED
from realtime.send_queue import SendQueue
from realtime.wire import Wire
from security.edge.problems import Problem

CLOSE_CODES = {401: 4401, 403: 4403, 422: 4400, 429: 4429}
"""Of a socket on which somebody could not sign in, by the status of the problem."""
TRY_AGAIN_LATER = 1013


class MessageClient(Client):
    """What it is told is written at once while its connection takes it, in the caller's turn of the loop; otherwise it waits."""

    def __init__(self, id_: str, address: str, surroundings: Surroundings, wire: Wire) -> None:
        super().__init__(id_, address, surroundings)
        self._wire = wire
        wire.has_room, wire.gone = self._send_on, self.gone
        wire.limit_unsent()
        self._queue = SendQueue[bytes](len)
        self._taken, self._took_at = 0, monotonic()

    def emit(self, event: str, *payload: object) -> None:
        if self._queue.is_full:
            self.end(SLOW)
        self._put(_message(event, *payload))

    async def send(self, event: str, *payload: object) -> None:
        await self._queue.room()
        if self.closing is not None:
            raise SocketClosed
        self._put(_message(event, *payload))

    def tell_expiring(self, seconds: int) -> None:
        self.emit("warning", ExpiringWarning(data=ExpiringData(seconds=seconds)).model_dump())

    def tell_going_away(self, retry_after: float) -> None:
        self.emit("going_away", GoingAwayMessage(data=GoingAwayData(retry_after=retry_after)).model_dump())

    def tell_of(self, problem: Problem, session_id: object = None) -> None:
        """`session_id`: as the client sent it with what went wrong."""
        self.emit("error", error_members(problem, _uuid(session_id)))

    def is_judged(self) -> None:
        """It sent its token in time, however long we take to judge it."""
        self._stop_timers()

    def refuse(self, problem: Problem) -> None:
        """Nobody signs in on it any more. It is told why, and closed."""
        REFUSED.labels(problem.error).inc()
        self.tell_of(problem)
        self.close(CLOSE_CODES.get(problem.status, TRY_AGAIN_LATER), problem.error)

    def gone(self) -> None:
        """Nothing comes from it any more. Who waits for room in its queue waits no longer."""
        self.end(self._wire.ended_as)

    def is_behind(self, seconds: float) -> bool:
        """Whether it takes nothing of what it is sent. One that takes little is waited for."""
        now, taken = monotonic(), self._wire.taken
        if taken > self._taken or not self._wire.unsent:
            self._taken, self._took_at = taken, now
        return now - self._took_at > seconds

    def _put(self, message: bytes) -> None:
        if self.closing is not None:
            return
        if self._queue.is_empty and self._wire.is_writable:
            self._wire.write(message)
        else:
            self._queue.put_nowait(message)

    def _send_on(self) -> None:
        """What waits, as far as the connection takes it."""
        while self._wire.is_writable:
            try:
                message = self._queue.get_nowait()
            except asyncio.QueueEmpty:
                return
            if message is None:
                assert self.closing is not None
                self._keep_until_done(self._wire.close(self.closing.code, self.closing.reason))
                return
            self._wire.write(message)

    def _say_last(self, _: Closing) -> None:
        self._queue.put_nowait(None)

    def _hang_up(self, _: Closing) -> None:
        if self._wire.is_open:
            self._send_on()

    def _cut_off(self) -> None:
        self._wire.abort()


def _uuid(sent: object) -> str | None:
    """Nothing else is repeated: it might be anything, such as a password in the wrong place."""
    try:
        return str(UUID(sent)) if isinstance(sent, str) else None
    except ValueError:
        return None


def _message(type_: str, members: Any = None) -> bytes:
    """The members come after the type, so that who reads the bytes sees first what they are."""
    fields: Mapping[str, object] = members or {}
    return orjson.dumps({"type": type_, **fields}, option=orjson.OPT_UTC_Z)
