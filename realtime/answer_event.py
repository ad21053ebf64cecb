"""What is done with an event of a client of Socket.IO, whatever it sent."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from pydantic import BaseModel

from metering.sockets import SocketClosed, SocketEvent
from realtime.client import Client
from realtime.closing import TOO_LARGE, TOO_MANY
from realtime.metrics import EVENTS
from security.api.request_bodies import parse
from security.api.strict_json import check_json
from security.edge.error_handlers import problem_of
from security.edge.problems import NotFound, Problem, ValidationFailed, field_error
from security.edge.request_id import begin_exchange, note_caller

EVENTS_PER_SECOND = 30
UNKNOWN = " unknown"
BESIDE_BYTES = 1024
"""What an event with bytes has beside them."""


class UnknownEvent(NotFound):
    error, title = "unknown_event", "There is no such event"


class AnswerEvents:
    """`events` by their names. A client that sends more of one than it may, or a larger one, is closed."""

    def __init__(self, events: Sequence[SocketEvent]) -> None:
        self._events = {each.name: each for each in events}
        self.largest = max(each.largest for each in events) + BESIDE_BYTES

    def error_of(self, name: str) -> str:
        """The event by which a client is told that asked for no acknowledgement."""
        return self._events[name].error if name in self._events else "error"

    async def answer(self, client: Client, name: str, arguments: Sequence[Any]) -> Mapping[str, object] | None:
        """The acknowledgement. None when the client was closed instead."""
        event = self._events.get(name)
        client.meter.events += 1
        if client.meter.over(name if event else UNKNOWN, event.per_second if event else EVENTS_PER_SECOND):
            client.end(TOO_MANY)
            return None
        size = sum(len(each) for each in arguments if isinstance(each, bytes)) or client.meter.arriving
        if event is not None and size > event.largest:
            client.end(TOO_LARGE)
            return None
        exchange = begin_exchange({})
        note_caller(client.caller.user_id)
        try:
            answer = await _handled(event, client, arguments)
        except SocketClosed:
            return None
        except Exception as error:
            problem = problem_of(error)
            EVENTS.labels(name if event else "unknown", "refused").inc()
            structlog.get_logger().debug("socket_event_refused", socket=client.id, error=problem.error)
            return refusal(problem, exchange.request_id)
        EVENTS.labels(name, "ok").inc()
        return {"ok": True, **answer}


async def _handled(event: SocketEvent | None, client: Client, arguments: Sequence[Any]) -> Mapping[str, object]:
    if event is None:
        raise UnknownEvent
    return await event.handle(client, _body(event, arguments))


def refusal(problem: Problem, request_id: str) -> dict[str, Any]:
    """As an acknowledgement."""
    return {"ok": False, **problem.body(request_id)}


def _body(event: SocketEvent, arguments: Sequence[Any]) -> BaseModel | bytes:
    """Raises ValidationFailed and MalformedJson."""
    if len(arguments) > 1:
        raise ValidationFailed([field_error([], "too_many_arguments", "Send one argument, and a callback if you like")])
    sent = arguments[0] if arguments else {}
    if event.body is None:
        if not isinstance(sent, bytes):
            raise ValidationFailed([field_error([], "bytes_type", "Send bytes")])
        return sent
    if _has_bytes(sent):
        raise ValidationFailed([field_error([], "json_type", "Send an object without bytes in it")])
    document = json.dumps(sent).encode()
    check_json(document)
    return parse(event.body, document)


def _has_bytes(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_bytes, value.values()))
    if isinstance(value, list):
        return any(map(_has_bytes, value))
    return isinstance(value, bytes)
