"""Declared routes: each says what it takes, what it answers, who may call it and how it fails.

The same declaration parses and checks the request and writes the OpenAPI document, so the two cannot differ.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from inspect import cleandoc
from typing import Any, Protocol, TypeVar

from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState
from pydantic import BaseModel

from security.api.answers import NO_CONTENT, Answers, kinds, responder
from security.api.answers import Answer as Answer  # noqa: PLC0414 - whoever declares an operation needs it
from security.api.idempotency_key import ENVIRON, KEY, IdempotencyKeyRequired, MalformedIdempotencyKey
from security.api.request_bodies import Json, RequestBody, parse, query_reader, reader_of
from security.api.slots import Slots
from security.edge.error_handlers import ERROR_FORM, answer_problem
from security.edge.problems import Problem, TooBusy
from security.edge.request_id import note_caller

OPERATIONS_KEY = "operations"

_PATH_ARGUMENT = re.compile(r"<(?:(?P<converter>[^:<>]+):)?(?P<name>[^<>]+)>")
_NAMES = re.compile(r'"([^"]*)"')


class Guard(Protocol):
    """Who may call a route.

    `admit` returns the caller, which the handler receives as `caller`, or raises a Problem. A guard whose answers carry headers
    of its own describes them in `answer_headers`.
    """

    @property
    def scheme(self) -> str | tuple[str | None, ...] | None:
        """The name of the OpenAPI security scheme, or of those that do alike; None when nobody needs to sign in. None among
        others: whoever does sign in is known to the handler, whose `caller` is None otherwise.
        """

    @property
    def problems(self) -> tuple[type[Problem], ...]: ...

    def admit(self) -> Any: ...


@dataclass(frozen=True)
class Anyone:
    """Nobody needs to sign in. Said explicitly, with the reason, so that no route is open by accident."""

    because: str
    scheme: str | None = None
    problems: tuple[type[Problem], ...] = ()

    def admit(self) -> None:
        return None


@dataclass(frozen=True)
class ErrorForm:
    """How the errors of an operation look that speaks the format of another API. `of` makes one of a problem document."""

    model: type[BaseModel]
    of: Callable[[Mapping[str, Any]], BaseModel]


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    id: str
    summary: str
    description: str
    tag: str
    guard: Guard
    answers: Answers
    bodies: tuple[RequestBody, ...]
    query: type[BaseModel] | None
    problems: tuple[type[Problem], ...]
    accepts_idempotency_key: bool
    requires_idempotency_key: bool
    answer_headers: Mapping[str, str]
    credentials: bool
    error_form: ErrorForm | None = None
    deprecated: bool = False
    request_headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def path_arguments(self) -> dict[str, dict[str, Any]]:
        """By their names: what a JSON Schema says of each text."""
        return {match["name"]: _path_schema(match["converter"]) for match in _PATH_ARGUMENT.finditer(self.path)}

    @property
    def path_template(self) -> str:
        """The path as OpenAPI writes it: `/sessions/{session_id}`."""
        return _PATH_ARGUMENT.sub(r"{\g<name>}", self.path)

    @property
    def documented(self) -> bool:
        """Whether it is in the OpenAPI document. What answers with pages and files of pages alone is not."""
        answered = [kind for declared in self.answers.values() for kind in kinds(declared)]
        return not answered or any(isinstance(kind, type) or kind.documented for kind in answered)


def _path_schema(converter: str) -> dict[str, Any]:
    if converter == "uuid":
        return {"format": "uuid"}
    return {"enum": _NAMES.findall(converter)} if converter != "path" else {"pattern": "^[^/]"}


Handler = Callable[..., Answer | None]
AnyHandler = TypeVar("AnyHandler", bound=Handler)


def operation(
    routes: Blueprint,
    method: str,
    path: str,
    *,
    operation_id: str,
    summary: str,
    guard: Guard,
    answers: Answers = NO_CONTENT,
    body: type[BaseModel] | RequestBody | tuple[RequestBody, ...] = (),
    query: type[BaseModel] | None = None,
    problems: Sequence[type[Problem]] = (),
    accepts_idempotency_key: bool = False,
    requires_idempotency_key: bool = False,
    answer_headers: Mapping[str, str] | None = None,
    request_headers: Mapping[str, str] | None = None,
    credentials: bool = False,
    within: Slots | None = None,
    error_form: ErrorForm | None = None,
) -> Callable[[AnyHandler], AnyHandler]:
    """Register a handler under `routes` with its declaration.

    The handler is called with `body` and `query` (when declared), `caller` (when the guard finds one), `idempotency_key` (when it
    accepts one; None when none was sent) and the path's arguments, which are UUIDs, one of the names of `<any("daily",
    "monthly"):period>`, or with `<path:name>` all the rest of the path. Its docstring is the description in the OpenAPI document.
    `operation_id` is what generated clients call it: a verb and a noun, and once published it stays.

    `answers` and `body` are models, which stand for JSON, or one of `Events`, `Csv`, `Page`, `StaticFile` and of
    `Json`, `Multipart`, `Raw`; several in a tuple where the client chooses. Without `answers` it is 204, and the handler returns
    nothing. `answer_headers` names the headers of its own that an answer carries, with a description of each; `request_headers` those
    that its handler reads by itself. `credentials`: pages of listed origins may call it with cookies (see cors.py). `within`: how many
    requests of it may be worked on at once; bodies above LARGEST_KEPT_BODY need it, because their thread reads them from the client.
    `error_form`: errors are told in the form of another API, from the guard's on; what is refused before it knows the operation stays
    a problem document.
    """
    for match in _PATH_ARGUMENT.finditer(path):
        if match["converter"] not in {"uuid", "path"} and not (match["converter"] or "").startswith('any("'):
            raise ValueError(f"{path}: a path argument must be a UUID, because the integer converter takes any size")
    accepts_idempotency_key = accepts_idempotency_key or requires_idempotency_key
    if isinstance(body, type):
        body = Json(body)
    bodies = body if isinstance(body, tuple) else (body,)

    def declare(handler: AnyHandler) -> AnyHandler:
        declared = Operation(
            method=method,
            path=path,
            id=operation_id,
            summary=summary,
            description=cleandoc(handler.__doc__ or ""),
            tag=routes.name,
            guard=guard,
            answers=answers,
            bodies=bodies,
            query=query,
            problems=(
                *problems,
                *((MalformedIdempotencyKey,) if accepts_idempotency_key else ()),
                *((IdempotencyKeyRequired,) if requires_idempotency_key else ()),
                *((TooBusy,) if within is not None else ()),
            ),
            accepts_idempotency_key=accepts_idempotency_key,
            requires_idempotency_key=requires_idempotency_key,
            answer_headers={**getattr(guard, "answer_headers", {}), **(answer_headers or {})},
            credentials=credentials,
            error_form=error_form,
            request_headers=dict(request_headers or {}),
        )
        admit, signed_in = guard.admit, guard.scheme is not None
        read_query = query_reader(query).document if query is not None else None
        read_body = reader_of(bodies, late=within is not None) if bodies else None
        respond = responder(answers)

        def view(**arguments: Any) -> Response:
            slot_of = None
            if error_form is not None:
                request.environ[ERROR_FORM] = error_form.of
            try:
                caller = admit()
                if signed_in:
                    arguments["caller"] = caller
                    note_caller(getattr(caller, "user_id", None), getattr(caller, "impersonated_by", None))
                if accepts_idempotency_key:
                    key = request.environ.get(ENVIRON)
                    if key is not None and not KEY.fullmatch(key):
                        raise MalformedIdempotencyKey
                    if key is None and requires_idempotency_key:
                        raise IdempotencyKeyRequired
                    arguments["idempotency_key"] = key
                if query is not None and read_query is not None:
                    arguments["query"] = parse(query, read_query(request.args))
                if within is not None:
                    within.take(request.environ["wsgi.input"])
                    slot_of = request.environ["wsgi.input"]
                if read_body is not None:
                    arguments["body"] = read_body()
                return respond(handler(**arguments))
            except Problem as problem:  # here, because Flask looks for the handler of its class each time
                return answer_problem(problem)
            finally:
                if within is not None and slot_of is not None:
                    within.give_back(slot_of)

        def remember(state: BlueprintSetupState) -> None:
            endpoint = f"{state.name_prefix}.{state.name}.{operation_id}".lstrip(".")
            declarations: dict[str, Operation] = state.app.extensions.setdefault(OPERATIONS_KEY, {})
            declarations[endpoint] = replace(declared, path=(state.url_prefix or "") + path)

        routes.add_url_rule(path, endpoint=operation_id, view_func=view, methods=[method])
        routes.record(remember)
        return handler

    return declare
