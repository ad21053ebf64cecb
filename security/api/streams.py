"""Answers that are sent while they are made: server-sent events and CSV."""

import csv
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

import orjson
import structlog
from flask import Flask, Response, current_app, got_request_exception, stream_with_context
from pydantic import BaseModel

from security.api.answers import Answer, Content
from security.edge.problems import InternalError, Problem
from security.edge.request_id import current_request_id

CSV_AT_ONCE = 16 * 1024
PING = b": ping\n\n"
"""A comment, which clients pass over. It keeps proxies from closing a silent stream, and shows that the client is gone."""

Reference = Callable[[type[BaseModel]], dict[str, Any]]

Given = TypeVar("Given")

_FORMULAS = tuple("=+-@\t\r\n\0\uff1d\uff0b\uff0d\uff20")
"""OWASP, "CSV Injection", and ASVS 5.0, 1.2.10. The wide forms are read like the narrow ones."""


class _Stream(Content):
    """The first chunk is made before the answer begins, so whatever fails until then is answered as an error."""

    content_type: str

    @abstractmethod
    def chunks(self, given: Iterator[Any]) -> Generator[bytes]: ...

    def last_words(self, error: Exception) -> bytes:
        """What ends a stream in which something failed. Raises the error to break it off, which clients see as well."""
        raise error

    def respond(self, answer: Answer) -> Response:
        given: Iterable[Any] = answer.body  # type: ignore[assignment]
        chunks: Any = stream_with_context(_closing(given, self.chunks(iter(given))))
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        response = _StreamedResponse(self._sent(list(islice(chunks, 1)), chunks, app), answer.status)
        response.outlet = getattr(given, "outlet", None)
        response.call_on_close(chunks.close)
        response.content_type = self.content_type
        response.headers.update(answer.headers)
        return response

    def _sent(self, first: list[bytes], chunks: Iterator[bytes], app: Flask) -> Generator[bytes]:
        try:
            yield from first
            yield from chunks
        except Exception as error:
            if not isinstance(error, Problem):
                structlog.get_logger().error("stream_broke_off", exc_info=error)
                got_request_exception.send(app, exception=error)
            yield self.last_words(error)


class Outlet:
    """Sends parts of one answer from whichever thread has them, one at a time, while the request's own thread waits. Where the web
    server cannot do that, that thread hands them on.
    """

    def __init__(self) -> None:
        self.write: Callable[[bytes], object] | None = None
        """Set by the answer when it begins."""
        self.gone = False
        """The client is."""
        self._handed_on: SimpleQueue[bytes] = SimpleQueue()

    def send(self, data: bytes) -> None:
        """Never waits, not even for the client."""
        if self.write is None:
            self._handed_on.put(data)
            return
        try:
            self.write(data)
        except OSError:
            self.gone = True

    def wake(self) -> None:
        """Whoever waits."""
        self._handed_on.put(b"")

    def wait(self, seconds: float) -> bytes:
        """For the request's own thread, whose answer it is to yield."""
        try:
            return self._handed_on.get(timeout=max(0.0, seconds))
        except Empty:
            return b""

    def rest(self) -> Iterator[bytes]:
        while not self._handed_on.empty():
            if data := self._handed_on.get():
                yield data


@dataclass(frozen=True)
class Pushed(Generic[Given]):
    """What a handler returns of whose events some are sent by the outlet. Between two that are made here."""

    made: Iterator[Given]
    outlet: Outlet

    def __iter__(self) -> Iterator[Given]:
        return self.made

    def close(self) -> None:
        if isinstance(self.made, Generator):
            self.made.close()


class _StreamedResponse(Response):
    implicit_sequence_conversion = False  # or whoever asks for the length would wait for the end
    outlet: Outlet | None = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body, status, headers = self.get_wsgi_response(environ)
        write = start_response(status, headers)
        if self.outlet is not None and "gunicorn.socket" in environ:  # our worker's `write` waits for nobody
            self.outlet.write = write
        return body


def _closing(given: Iterable[Any], chunks: Generator[bytes]) -> Generator[bytes]:
    """Ends what the handler gave together with the answer: its `finally` is where a call is settled."""
    try:
        with closing(chunks):
            yield from chunks
    finally:
        if hasattr(given, "close"):
            given.close()


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


class Events(_Stream):
    """`text/event-stream`. `Events(Model)` has events without a name; `Events(start=Start, delta=Delta)` names them.

    The handler returns an iterable of `Event`, and of bytes that are events already, such as PING. Each goes out at once. An
    error after the first one becomes an event `error`, whose data is the problem document.
    """

    media_type = content_type = "text/event-stream"

    def __init__(self, unnamed: type[BaseModel] | None = None, /, **named: type[BaseModel]) -> None:
        self._by_name: dict[str | None, type[BaseModel]] = {} if unnamed is None else {None: unnamed}
        self._by_name.update(named)
        self.models = tuple(self._by_name.values())

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
        response = super().respond(answer)
        response.headers["X-Accel-Buffering"] = "no"
        return response

    def chunks(self, given: Iterator[Event | bytes]) -> Generator[bytes]:
        for event in given:
            yield event if isinstance(event, bytes) else event.encoded()

    def last_words(self, error: Exception) -> bytes:
        problem = error if isinstance(error, Problem) else InternalError()
        return b"event: error\ndata: " + orjson.dumps(problem.body(current_request_id())) + b"\n\n"


def _event(name: str | None, data: dict[str, Any]) -> dict[str, Any]:
    named = {} if name is None else {"event": {"const": name}}
    content = {"type": "string", "contentMediaType": "application/json", "contentSchema": data}
    return {
        "type": "object",
        "properties": {**named, "data": content, "id": {"type": "string"}},
        "required": [*named, "data"],
        "additionalProperties": False,
    }


class TextFile(_Stream):
    """A text to download. The handler returns an iterable of its pieces. Where one status has several kinds, it says in
    `Content-Type` which one this is. `model`: what JSON of it is.
    """

    def __init__(self, media_type: str, model: type[BaseModel] | None = None) -> None:
        self.media_type = media_type
        self.content_type = media_type if model is not None else f"{media_type}; charset=utf-8"
        self.models = () if model is None else (model,)

    def described(self, reference: Reference) -> dict[str, Any]:
        return reference(self.models[0]) if self.models else {"type": "string"}

    def chunks(self, given: Iterator[str]) -> Generator[bytes]:
        for piece in given:
            yield piece.encode()


class Csv(_Stream):
    """`text/csv` (RFC 4180) with the members of `row` as its columns. The handler returns an iterable of `row`.

    Text that a spreadsheet would take for a formula gets a ' before it. Numbers stay as they are.
    """

    media_type = "text/csv"
    content_type = "text/csv; charset=utf-8; header=present"

    def __init__(self, row: type[BaseModel], *, of_page: bool = False) -> None:
        """`of_page`: a page of ours links to it, so it is left out of the OpenAPI document."""
        self._row = row
        self.models = (row,)
        self.documented = not of_page

    def described(self, reference: Reference) -> dict[str, Any]:
        columns = ", ".join(f"`{column}`" for column in self._row.model_fields)
        return {
            "type": "string",
            "description": f"A line of column names, then one for each `{self._row.__name__}`. Columns: {columns}.",
            "contentMediaType": self.media_type,
            "contentSchema": {"type": "array", "items": reference(self._row)},
        }

    def chunks(self, given: Iterator[BaseModel]) -> Generator[bytes]:
        lines = StringIO(newline="")
        write = csv.writer(lines).writerow
        write(self._row.model_fields)
        for row in given:
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
