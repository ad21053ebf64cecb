"""Answers that are sent while they are made: server-sent events, CSV, and JSON line by line."""

import csv
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from io import StringIO
from typing import Any

import orjson
import structlog
from flask import Flask, Response, current_app, got_request_exception, stream_with_context
from pydantic import BaseModel

from security.api.answers import Answer
from security.edge.problems import InternalError, Problem
from security.edge.request_id import current_request_id

CSV_AT_ONCE = 16 * 1024
PING = b": ping\n\n"
"""A comment, which clients pass over. It keeps proxies from closing a silent stream, and shows that the client is gone."""

Reference = Callable[[type[BaseModel]], dict[str, Any]]

_FORMULAS = tuple("=+-@\t\r\n\0\uff1d\uff0b\uff0d\uff20")
"""OWASP, "CSV Injection", and ASVS 5.0, 1.2.10. The wide forms are read like the narrow ones."""


@dataclass(frozen=True)
class Event:
    """One server-sent event. `id` is what the client sends as `Last-Event-ID` when it connects again."""

    data: BaseModel
    name: str | None = None
    id: str | None = None

    def encoded(self) -> bytes:
        """As https://html.spec.whatwg.org/multipage/server-sent-events.html has it. JSON of one line needs one `data`."""
        lines = [] if self.id is None else [f"id: {self.id}"]
        if self.name is not None:
            lines.append(f"event: {self.name}")
        if any("\n" in line or "\r" in line or "\0" in line for line in lines):
            raise ValueError("The name and the id of an event are one line each")
        head = "".join(f"{line}\n" for line in lines).encode()
        return head + b"data: " + self.data.__pydantic_serializer__.to_json(self.data) + b"\n\n"


class Events:
    """`text/event-stream`. `Events(Model)` has events without a name; `Events(start=Start, delta=Delta)` names them.

    The handler returns an iterable of `Event`, and of bytes that are events already, such as PING. Each goes out at once. An
    error after the first one becomes an event `error`, whose data is the problem document.
    """

    media_type = "text/event-stream"
    documented = True

    def __init__(self, unnamed: type[BaseModel] | None = None, /, **named: type[BaseModel]) -> None:
        self._by_name: dict[str | None, type[BaseModel]] = {} if unnamed is None else {None: unnamed}
        self._by_name.update(named)

    @property
    def models(self) -> tuple[type[BaseModel], ...]:
        return tuple(self._by_name.values())

    def described(self, reference: Reference) -> dict[str, Any]:
        """What OpenAPI 3.2 calls `itemSchema`, in words of JSON Schema that 3.1 has: the text holds a list of events."""
        events = [_event(name, reference(model)) for name, model in self._by_name.items()]
        told = [
            f"{'no name' if name is None else f'`{name}`'}: `{model.__name__}`" for name, model in self._by_name.items()
        ]
        return {
            "type": "string",
            "description": "Server-sent events, by name, with JSON as their `data`. "
            f"{'; '.join(told)}; `error`: `Problem`, after which the stream ends.",
            "contentMediaType": self.media_type,
            "contentSchema": {
                "type": "array",
                "items": {"oneOf": [*events, _event("error", {"$ref": "#/components/schemas/Problem"})]},
            },
        }

    def respond(self, answer: Answer) -> Response:
        return _stream(answer, self.media_type, self._chunks, {"X-Accel-Buffering": "no"})

    def _chunks(self, events: Iterator[Event | bytes]) -> Generator[bytes]:
        app, begun = _current_app(), False
        try:
            for event in events:
                yield event if isinstance(event, bytes) else event.encoded()
                begun = True
        except Exception as error:
            if not begun:
                raise
            problem = error if isinstance(error, Problem) else InternalError()
            if problem is not error:
                _report(error, app)
            yield b"event: error\ndata: " + orjson.dumps(problem.body(current_request_id())) + b"\n\n"


def _event(name: str | None, data: dict[str, Any]) -> dict[str, Any]:
    members: dict[str, Any] = {
        "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": data},
        "id": {"type": "string"},
    }
    if name is None:
        return {"type": "object", "properties": members, "required": ["data"], "additionalProperties": False}
    members["event"] = {"const": name}
    return {"type": "object", "properties": members, "required": ["data", "event"]}


@dataclass(frozen=True)
class JsonLines:
    """`application/x-ndjson`: a document in each line. The handler returns an iterable of `row`."""

    row: type[BaseModel]
    media_type = "application/x-ndjson"
    documented = True

    @property
    def models(self) -> tuple[type[BaseModel], ...]:
        return (self.row,)

    def described(self, reference: Reference) -> dict[str, Any]:
        return _list_in_text(self.media_type, f"A `{self.row.__name__}` in each line.", reference(self.row))

    def respond(self, answer: Answer) -> Response:
        return _stream(answer, self.media_type, self._chunks, {})

    def _chunks(self, rows: Iterator[BaseModel]) -> Generator[bytes]:
        for row in rows:
            yield row.__pydantic_serializer__.to_json(row) + b"\n"


@dataclass(frozen=True)
class Csv:
    """`text/csv` (RFC 4180) with the members of `row` as its columns. The handler returns an iterable of `row`.

    Text that a spreadsheet would take for a formula gets a ' before it. Numbers stay as they are.
    """

    row: type[BaseModel]
    media_type = "text/csv"
    documented = True

    @property
    def models(self) -> tuple[type[BaseModel], ...]:
        return (self.row,)

    def described(self, reference: Reference) -> dict[str, Any]:
        columns = ", ".join(f"`{column}`" for column in self.row.model_fields)
        told = f"A line of column names, then one for each `{self.row.__name__}`. Columns: {columns}."
        return _list_in_text(self.media_type, told, reference(self.row))

    def respond(self, answer: Answer) -> Response:
        return _stream(answer, "text/csv; charset=utf-8; header=present", self._chunks, {})

    def _chunks(self, rows: Iterator[BaseModel]) -> Generator[bytes]:
        lines = StringIO(newline="")
        write = csv.writer(lines).writerow
        write(self.row.model_fields)
        for row in rows:
            write(map(_cell, row.model_dump(mode="json").values()))
            if lines.tell() >= CSV_AT_ONCE:
                yield lines.getvalue().encode()
                lines.seek(0)
                lines.truncate()
        yield lines.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULAS) else value
    return value


def _list_in_text(media_type: str, told: str, item: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "string",
        "description": told,
        "contentMediaType": media_type,
        "contentSchema": {"type": "array", "items": item},
    }


def _stream(
    answer: Answer,
    content_type: str,
    encode: Callable[[Iterator[Any]], Generator[bytes]],
    headers: Mapping[str, str],
) -> Response:
    given: Iterable[Any] = answer.body  # type: ignore[assignment]
    chunks = stream_with_context(_closing(given, encode(iter(given))))
    response = _StreamedResponse(_Begun(chunks, _current_app()), answer.status, content_type=content_type)
    response.headers.update({**headers, **answer.headers})
    return response


class _StreamedResponse(Response):
    implicit_sequence_conversion = False  # or whoever asks for the length would wait for the end


class _Begun:
    """The first chunk is made before the answer begins, so whatever fails until then is answered as an error.

    What fails later breaks the answer off, which clients see by its missing end.
    """

    def __init__(self, chunks: Iterator[bytes], app: Flask) -> None:
        self._chunks = chunks
        self._app = app
        self._first: bytes | None = next(chunks, None)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        first, self._first = self._first, None
        if first is not None:
            return first
        try:
            return next(self._chunks)
        except StopIteration:
            raise
        except Exception as error:
            _report(error, self._app)
            raise

    def close(self) -> None:
        """The server calls it at the end, and when the client is gone."""
        self._chunks.close()  # type: ignore[attr-defined]


def _closing(given: Iterable[Any], chunks: Generator[bytes]) -> Generator[bytes]:
    """Ends what the handler gave together with the answer: its `finally` is where a call is settled."""
    try:
        with closing(chunks):
            yield from chunks
    finally:
        close = getattr(given, "close", None)
        if close is not None:
            close()


def _current_app() -> Flask:
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    return app


def _report(error: Exception, app: Flask) -> None:
    structlog.get_logger().error("stream_broke_off", exc_info=error)
    got_request_exception.send(app, exception=error)
