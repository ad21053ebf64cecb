"""Declared routes: each says what it takes, what it answers, who may call it and how it fails.

The same declaration parses and checks the request and writes the OpenAPI document, so the two cannot differ.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from inspect import cleandoc
from typing import Any, Protocol, TypeVar

from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState
from pydantic import BaseModel, BeforeValidator, ConfigDict, GetJsonSchemaHandler, RootModel, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails

from security.api.strict_json import read_json
from security.api.strict_query import QueryReader
from security.edge.problems import MalformedJson, Problem, ValidationFailed
from security.edge.request_id import note_caller

OPERATIONS_KEY = "operations"
MOST_ERRORS = 100
"""A body of ten thousand wrong fields is not worth an answer of ten thousand errors."""

_PATH_ARGUMENT = re.compile(r"<(?:(?P<converter>[^:<>]+):)?(?P<name>[^<>]+)>")


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""Makes an integer of what JSON Schema calls one: 175.0 (JSON Schema 2020-12, 4.2.3). Strict pydantic would refuse it.

Bounds stand before it, `Annotated[int, Field(ge=1), WHOLE]`: after it they would be missing in the schema.
"""


class Body(BaseModel):
    """Base of every request body and query: unknown fields are refused, values never coerced, instances never
    change.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


Form = TypeVar("Form", bound=Body)


class OneOfBody(RootModel[Form]):
    """Base of a body that has one of several forms, each a `Body` of its own: a union with a discriminator.

    The discriminator is a function, because no member of the JSON says which form it is.
    """

    model_config = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)


class AnswerBody(BaseModel):
    """Base of every answer body. It has every member always, but for those with `exclude_if`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler, /) -> JsonSchemaValue:
        schema = handler(core_schema)
        handler.resolve_ref_schema(schema)["required"] = [
            member.serialization_alias or name for name, member in cls.model_fields.items() if member.exclude_if is None
        ]
        return schema


class Guard(Protocol):
    """Who may call a route.

    `admit` returns the caller, which the handler receives as `caller`, or raises a Problem.
    """

    @property
    def scheme(self) -> str | tuple[str, ...] | None:
        """The name of the OpenAPI security scheme, or of those that do alike; None when nobody needs to sign in."""

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
class Answer:
    """What a handler returns. `body` may be bytes that are JSON already."""

    status: int
    body: BaseModel | bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    id: str
    summary: str
    description: str
    tag: str
    guard: Guard
    answers: Mapping[int, type[BaseModel] | None]
    body: type[BaseModel] | None
    body_optional: bool
    query: type[BaseModel] | None
    problems: tuple[type[Problem], ...]
    body_limit: int
    accepts_idempotency_key: bool
    answer_headers: Mapping[str, str]
    credentials: bool
    deprecated: bool = False

    @property
    def path_arguments(self) -> tuple[str, ...]:
        return tuple(match["name"] for match in _PATH_ARGUMENT.finditer(self.path))

    @property
    def path_template(self) -> str:
        """The path as OpenAPI writes it: `/sessions/{session_id}`."""
        return _PATH_ARGUMENT.sub(r"{\g<name>}", self.path)


Handler = Callable[..., Answer]
AnyHandler = TypeVar("AnyHandler", bound=Handler)


def operation(
    routes: Blueprint,
    method: str,
    path: str,
    *,
    operation_id: str,
    summary: str,
    guard: Guard,
    answers: Mapping[int, type[BaseModel] | None],
    body: type[BaseModel] | None = None,
    body_optional: bool = False,
    query: type[BaseModel] | None = None,
    problems: Sequence[type[Problem]] = (),
    body_limit: int = 64 * 1024,
    accepts_idempotency_key: bool = False,
    answer_headers: Mapping[str, str] | None = None,
    credentials: bool = False,
) -> Callable[[AnyHandler], AnyHandler]:
    """Register a handler under `routes` with its declaration.

    The handler is called with `body` and `query` (when declared), `caller` (when the guard finds one) and the
    path's arguments, which are UUIDs. Its docstring is the description in the OpenAPI document. `operation_id`
    is what generated clients call it: a verb and a noun, and once published it stays. `body_limit` is bytes.
    `answer_headers` names the headers of its own that an answer carries, with a description of each.
    `credentials`: pages of listed origins may call it with cookies (see cors.py).
    """
    for match in _PATH_ARGUMENT.finditer(path):
        if match["converter"] != "uuid":
            raise ValueError(f"{path}: a path argument must be a UUID, because the integer converter takes any size")

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
            body=body,
            body_optional=body_optional,
            query=query,
            problems=tuple(problems),
            body_limit=body_limit,
            accepts_idempotency_key=accepts_idempotency_key,
            answer_headers=dict(answer_headers or {}),
            credentials=credentials,
        )
        admit, signed_in = guard.admit, guard.scheme is not None
        reader = QueryReader(query) if query is not None else None

        def view(**arguments: Any) -> Response:
            caller = admit()
            if signed_in:
                arguments["caller"] = caller
                note_caller(getattr(caller, "user_id", None), getattr(caller, "impersonated_by", None))
            if query is not None and reader is not None:
                arguments["query"] = parse(query, reader.document(request.args))
            if body is not None:
                absent = body_optional and not _body_was_sent()
                arguments["body"] = None if absent else parse(body, read_json(limit=body_limit))
            return respond(handler(**arguments))

        def remember(state: BlueprintSetupState) -> None:
            endpoint = f"{state.name_prefix}.{state.name}.{handler.__name__}".lstrip(".")
            declarations: dict[str, Operation] = state.app.extensions.setdefault(OPERATIONS_KEY, {})
            declarations[endpoint] = replace(declared, path=(state.url_prefix or "") + path)

        routes.add_url_rule(path, endpoint=handler.__name__, view_func=view, methods=[method])
        routes.record(remember)
        return handler

    return declare


def _body_was_sent() -> bool:
    """RFC 9112, 6.3: a request has a body when it says how long it is, or that it comes in chunks."""
    environ = request.environ
    return environ.get("CONTENT_LENGTH") not in {None, "", "0"} or "HTTP_TRANSFER_ENCODING" in environ


Model = TypeVar("Model", bound=BaseModel)


def parse(model: type[Model], document: bytes) -> Model:
    """Check a JSON document against its model. Raises ValidationFailed that names every bad field at once."""
    try:
        return model.model_validate_json(document)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        raise MalformedJson
    tags = 1 if issubclass(model, OneOfBody) else 0  # pydantic puts the form's tag before the names of its members
    raise ValidationFailed([_field_error(each, each["loc"][tags:]) for each in found[:MOST_ERRORS]])


def _field_error(error: ErrorDetails, location: tuple[str | int, ...]) -> dict[str, str]:
    return {
        "pointer": "".join(f"/{_escaped(part)}" for part in location),
        "code": error["type"],
        "message": error["msg"].removeprefix("Value error, "),
    }


def _escaped(part: str | int) -> str:
    """One reference token of a JSON Pointer (RFC 6901, 3)."""
    return str(part).replace("~", "~0").replace("/", "~1")


def respond(answer: Answer) -> Response:
    if isinstance(answer.body, BaseModel):
        content: bytes | None = answer.body.__pydantic_serializer__.to_json(answer.body)
    else:
        content = answer.body
    return _FinishedResponse(content, answer.status, answer.headers)


class _FinishedResponse(Response):
    """An answer whose body is JSON of known length, or nothing.

    Its headers are put down once, when the server asks for them: Werkzeug would set each one by itself, copy all of them
    and look through the copy twice.
    """

    default_mimetype = None

    def __init__(self, content: bytes | None, status: int, own_headers: Mapping[str, str]) -> None:
        super().__init__(() if content is None else (content,), status)
        self._own_headers = own_headers

    def get_wsgi_response(self, environ: dict[str, Any]) -> tuple[Iterable[bytes], str, list[tuple[str, str]]]:
        headers = [*self.headers.to_wsgi_list(), *self._own_headers.items()]
        body: tuple[bytes, ...] = self.response  # type: ignore[assignment] # as __init__ gave it
        if body:
            headers += (("Content-Type", "application/json"), ("Content-Length", str(len(body[0]))))
        return () if environ["REQUEST_METHOD"] == "HEAD" else body, self.status, headers
