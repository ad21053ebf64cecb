"""Declared routes: each says what it takes, what it answers, who may call it and how it fails.

The same declaration parses and checks the request and writes the OpenAPI document, so the two cannot differ.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, ValidationError

from security.problems import Problem, ValidationFailed
from security.strict_json import read_json


class Body(BaseModel):
    """Base of every request body: unknown fields are refused, values are never coerced, instances never change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class AnswerBody(BaseModel):
    """Base of every answer body."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Guard(Protocol):
    """Who may call a route. `admit` returns the caller, which the handler receives as `caller`, or raises a Problem."""

    @property
    def scheme(self) -> str | None:
        """The name of the OpenAPI security scheme; None when nobody needs to sign in."""

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
    name: str
    summary: str
    description: str
    tag: str
    guard: Guard
    answers: Mapping[int, type[BaseModel] | None]
    body: type[BaseModel] | None
    problems: tuple[type[Problem], ...]
    body_limit: int
    accepts_idempotency_key: bool


Handler = Callable[..., Answer]
OPERATIONS_KEY = "operations"


def operation(
    routes: Blueprint,
    method: str,
    path: str,
    *,
    summary: str,
    guard: Guard,
    answers: Mapping[int, type[BaseModel] | None],
    body: type[BaseModel] | None = None,
    problems: Sequence[type[Problem]] = (),
    body_limit: int = 64 * 1024,
    accepts_idempotency_key: bool = False,
) -> Callable[[Handler], Handler]:
    """Register a handler under `routes` with its declaration.

    The handler is called with `body` (when declared), `caller` (when the guard finds one) and the path's arguments.
    Its docstring is the description in the OpenAPI document. `body_limit` is bytes.
    """

    def declare(handler: Handler) -> Handler:
        declared = Operation(
            method=method,
            path=(routes.url_prefix or "") + path,
            name=handler.__name__,
            summary=summary,
            description=(handler.__doc__ or "").strip(),
            tag=routes.name,
            guard=guard,
            answers=answers,
            body=body,
            problems=tuple(problems),
            body_limit=body_limit,
            accepts_idempotency_key=accepts_idempotency_key,
        )

        def view(**path_arguments: Any) -> Response:
            arguments = path_arguments
            caller = guard.admit()
            if guard.scheme is not None:
                arguments["caller"] = caller
            if body is not None:
                arguments["body"] = parse(body, read_json(limit=body_limit))
            return respond(handler(**arguments))

        routes.add_url_rule(path, endpoint=handler.__name__, view_func=view, methods=[method])
        routes.record(
            lambda state: state.app.extensions.setdefault(OPERATIONS_KEY, {}).__setitem__(
                f"{state.name_prefix}{state.name}.{handler.__name__}".lstrip("."), declared
            )
        )
        return handler

    return declare


Model = TypeVar("Model", bound=BaseModel)


def parse(model: type[Model], document: bytes) -> Model:
    """Check a JSON document against its model. Raises ValidationFailed that names every bad field at once."""
    try:
        return model.model_validate_json(document)
    except ValidationError as error:
        raise ValidationFailed(
            [
                {
                    "pointer": "".join(f"/{part}" for part in problem["loc"]),
                    "code": problem["type"],
                    "message": problem["msg"],
                }
                for problem in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        ) from None


def respond(answer: Answer) -> Response:
    if isinstance(answer.body, BaseModel):
        content: bytes | None = answer.body.__pydantic_serializer__.to_json(answer.body)
    else:
        content = answer.body
    response = Response(content, status=answer.status, content_type="application/json" if content is not None else None)
    response.headers.extend(answer.headers)
    return response
