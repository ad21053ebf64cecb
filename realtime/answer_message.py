"""What is done with a message of a client of a path, whatever it sent."""

from collections.abc import Sequence

import orjson
import structlog

from metering.sockets import SocketClosed, SocketEvent
from realtime.closing import MALFORMED, TOO_MANY
from realtime.message_client import MessageClient
from realtime.metrics import EVENTS
from security.api.request_bodies import parse
from security.edge.error_handlers import problem_of
from security.edge.problems import NotFound, NotSignedIn
from security.edge.request_id import begin_exchange, note_caller

MESSAGES = " messages"
"""No message is called so."""
MOST_MESSAGES = 4000
"""A second, of all types."""
UNKNOWN = " unknown"
MOST_UNKNOWN = 1000


class UnknownType(NotFound):
    error, title = "unknown_type", "There is no message of this type"


class AnswerMessages:
    """`beforehand`: what may be sent before somebody has signed in."""

    def __init__(self, beforehand: Sequence[SocketEvent], events: Sequence[SocketEvent]) -> None:
        self._beforehand = {each.name: each for each in beforehand}
        self._events = {each.name: each for each in (*events, *beforehand)}

    async def answer(self, client: MessageClient, text: str) -> None:
        """A client that sends more than it may, or what is no message, is closed."""
        client.meter.events += 1
        if client.meter.over(MESSAGES, MOST_MESSAGES):
            client.end(TOO_MANY)
            return
        try:
            message = orjson.loads(text)
            type_ = message["type"]
        except (ValueError, TypeError, KeyError):
            client.end(MALFORMED)
            return
        if not isinstance(type_, str):
            client.end(MALFORMED)
            return
        event = self._events.get(type_)
        kind, most = (UNKNOWN, MOST_UNKNOWN) if event is None else (type_, event.per_second)
        if client.meter.over(kind, most):
            client.end(TOO_MANY)
            return
        begin_exchange({})
        try:
            await self._handled(event, client, text)
        except SocketClosed:
            return
        except Exception as error:
            problem = problem_of(error)
            EVENTS.labels(type_ if event else "unknown", "refused").inc()
            structlog.get_logger().debug("socket_message_refused", socket=client.id, error=problem.error)
            client.tell_of(problem, message.get("session_id"))
        else:
            EVENTS.labels(type_, "ok").inc()

    async def _handled(self, event: SocketEvent | None, client: MessageClient, text: str) -> None:
        if client.admitted is not None:
            note_caller(client.caller.user_id)
        elif event is None or event.name not in self._beforehand:
            client.refuse(NotSignedIn('Send `{"type": "auth", "data": {"token": …}}` first'))
            return
        if event is None:
            raise UnknownType
        assert event.body is not None  # bytes have no type
        await event.handle(client, parse(event.body, text.encode()))
