"""The OpenAPI 3.1 document, written from the declared operations."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import click
import orjson
from flask import Blueprint, current_app
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from security.api.answers import Answer, Kind, StaticFile, kinds
from security.api.compressible import Compressible
from security.api.idempotency_key import KEY
from security.api.operation import OPERATIONS_KEY, Anyone, Operation, operation
from security.api.socket_messages import SocketMessages, described_sockets
from security.edge.problems import (
    PROBLEM_JSON,
    AddressTooLong,
    DependencyUnavailable,
    HttpsRequired,
    InternalError,
    MalformedRequest,
    NotFound,
    Problem,
    ValidationFailed,
    problem_members,
)

JSON = "application/json"
DOCUMENT_SECONDS = 300
LICENSE = {"name": "MIT", "identifier": "MIT"}
_EXAMPLE_REQUEST_ID = "0193a5b0-7c1e-7000-8000-0242ac120002"

SCHEMES: dict[str, dict[str, str]] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The access token of a signed-in user.",
    },
    "apiKey": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "tok_[0-9A-Za-z]{49}",
        "description": "An API key with the operation's scope, for programs. Create one with `POST /api/auth/tokens`.",
    },
}

_HEADERS_BY_STATUS = {
    401: {"WWW-Authenticate": "The challenge (RFC 6750)."},
    415: {
        "Accept-Post": "The media type that is accepted.",
        "Accept-Encoding": "The encodings that are accepted.",
    },
    429: {"Retry-After": "Seconds to wait before you try again."},
    503: {"Retry-After": "Seconds to wait before you try again."},
}

_TEXT = {"type": "string"}
_PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "An error (RFC 9457). Compare `error`; the other texts are for people and may change.",
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": _TEXT,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": _TEXT,
        "instance": {"type": "string", "format": "uri"},
        "error": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$", "description": "The stable code."},
        "message": _TEXT,
        "request_id": _TEXT,
        "errors": {
            "type": "array",
            "description": "Every invalid field. Some problems say more of each.",
            "items": {
                "type": "object",
                "properties": {
                    "pointer": {"type": "string", "description": "The field in the body or query (RFC 6901)."},
                    "code": _TEXT,
                    "message": _TEXT,
                },
                "required": ["pointer", "code", "message"],
                "additionalProperties": True,
            },
        },
    },
    "required": ["type", "title", "status", "detail", "instance", "error", "message", "request_id"],
    "additionalProperties": True,
}


@dataclass(frozen=True)
class ApiDescription:
    """What the document says beyond the operations.

    `server` is the address that clients use. `tags` has a sentence for each tag, which is a blueprint's name. `sockets`: by path on
    `sockets_server`, what passes over them.
    """

    title: str
    version: str
    server: str
    tags: Mapping[str, str]
    description: str = ""
    requires_https: bool = False
    sockets: Mapping[str, SocketMessages] = field(default_factory=dict)
    sockets_server: str = ""


def openapi_routes(api: ApiDescription) -> Blueprint:
    """`GET /openapi.json`, and the command `flask openapi`, which prints the same document.

    The document is written once, on the first request, when every route is registered.
    """
    routes = Blueprint("openapi", __name__, cli_group=None)
    written: list[Compressible] = []

    def write() -> bytes:
        return orjson.dumps(openapi_document(current_app.extensions.get(OPERATIONS_KEY, {}), api))

    @operation(
        routes,
        "GET",
        "/openapi.json",
        operation_id="getOpenApiDocument",
        summary="Get this document",
        guard=Anyone("developers read it before they have an account"),
        answers={200: StaticFile(JSON)},
    )
    def document() -> Answer:
        if not written:
            written.append(Compressible(write(), JSON))
        return Answer(200, written[0], {"Cache-Control": f"public, max-age={DOCUMENT_SECONDS}"})

    @routes.cli.command("openapi")
    def print_document() -> None:
        """Print the OpenAPI document for this configuration."""
        click.echo(write())

    return routes


def openapi_document(operations: Mapping[str, Operation], api: ApiDescription) -> dict[str, Any]:
    documented = [declared for declared in operations.values() if declared.documented]
    models = _Models(documented)
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for declared in documented:
        paths[declared.path_template][declared.method.lower()] = _operation(declared, api, models)
    extension = {"x-websocket": described_sockets(api.sockets_server, api.sockets)} if api.sockets else {}
    return {
        "openapi": "3.1.1",
        "info": {
            "title": api.title,
            "version": api.version,
            "description": api.description,
            "license": LICENSE,
        },
        "servers": [{"url": api.server}],
        "tags": [_tag(name, api) for name in sorted({declared.tag for declared in documented})],
        "paths": dict(paths),
        "components": {
            "schemas": {**models.components, "Problem": _PROBLEM_SCHEMA},
            "securitySchemes": SCHEMES,
            "headers": {
                "X-Request-ID": {
                    "description": "The id that the client sent, if it was well formed; otherwise a new one.",
                    "schema": _TEXT,
                }
            },
        },
        **extension,
    }


def _tag(name: str, api: ApiDescription) -> dict[str, str]:
    if name not in api.tags:
        raise ValueError(f"the tag {name!r} is not described")
    return {"name": name, "description": api.tags[name]}


class _Models:
    """The schemas of all models. Those of bodies and answers are components; those of queries and forms stand in place."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        operations = list(operations)
        bodies = [body for declared in operations for body in declared.bodies]
        in_place = [declared.query for declared in operations] + [body.model for body in bodies if body.inline]
        taken = [*in_place, *(body.model for body in bodies if not body.inline)]
        given = [
            model
            for declared in operations
            for answered in declared.answers.values()
            for kind in kinds(answered)
            for model in ((kind,) if isinstance(kind, type) else kind.models)
        ] + [declared.error_form.model for declared in operations if declared.error_form is not None]
        self._references, definitions = models_json_schema(
            [
                *((model, "validation") for model in taken if model is not None),
                *((model, "serialization") for model in given),
            ],
            ref_template="#/components/schemas/{model}",
        )
        schemas: dict[str, Any] = definitions.get("$defs", {})
        self._in_place = {name: schemas.pop(name) for name in {self._name(model) for model in in_place if model}}
        forms = [self._in_place[self._name(body.model)] for body in bodies if body.inline and body.model]
        for form in forms:
            members = form.get("properties", {})
            form["properties"] = {name: _without_null(member) for name, member in members.items()}
        for schema in (*schemas.values(), *forms):
            for member in schema.get("properties", {}).values():
                _tell_default(member)
        self.components = schemas

    def of_body(self, model: type[BaseModel]) -> dict[str, Any]:
        return dict(self._references[model, "validation"])

    def of_answer(self, kind: Kind) -> dict[str, Any]:
        return self._of_given(kind) if isinstance(kind, type) else kind.described(self._of_given)

    def members(self, model: type[BaseModel]) -> tuple[dict[str, Any], set[str]]:
        """Of a query's or form's model, and which of them are required."""
        schema = self._in_place[self._name(model)]
        return schema.get("properties", {}), set(schema.get("required", []))

    def _of_given(self, model: type[BaseModel]) -> dict[str, Any]:
        return dict(self._references[model, "serialization"])

    def _name(self, model: type[BaseModel]) -> str:
        return str(self._references[model, "validation"]["$ref"]).rpartition("/")[2]


def _tell_default(member: dict[str, Any]) -> None:
    """Say a default in words: openapi-typescript takes a member with `default` for one that must be sent."""
    default = member.pop("default", None)
    if default not in (None, "", [], {}) and "const" not in member and "$ref" not in member:
        described = member.get("description")
        told = f"Default: `{orjson.dumps(default).decode()}`."
        member["description"] = told if described is None else f"{described} {told}"


def _operation(declared: Operation, api: ApiDescription, models: _Models) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": declared.id,
        "summary": declared.summary,
        "description": declared.description,
        "tags": [declared.tag],
        "parameters": list(_parameters(declared, models)),
        "responses": _responses(declared, api, models),
        "security": [],
    }
    if declared.deprecated:
        described["deprecated"] = True
    scheme = declared.guard.scheme
    if scheme is not None:
        alternatives = (scheme,) if isinstance(scheme, str) else scheme
        for name in alternatives:
            if name is not None and name not in SCHEMES:
                raise ValueError(f"{declared.path}: the security scheme {name!r} is not described")
        described["security"] = [{} if name is None else {name: []} for name in alternatives]
    if declared.bodies:
        content = {body.media_type: body.described(models) for body in declared.bodies}
        required = not any(body.optional for body in declared.bodies)
        described["requestBody"] = {"required": required, "content": content}
    return described


def _parameters(declared: Operation, models: _Models) -> Iterable[dict[str, Any]]:
    for name, schema in declared.path_arguments.items():
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", **schema}}
    if declared.query is not None:
        properties, required = models.members(declared.query)
        for name, schema in properties.items():
            yield {"name": name, "in": "query", "required": name in required, **_query_schema(schema)}
    for name, description in declared.request_headers.items():
        yield {"name": name, "in": "header", "required": False, "description": description, "schema": _TEXT}
    if declared.accepts_idempotency_key:
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "required": declared.requires_idempotency_key,
            "description": "If you repeat a request with the same key and body, it is carried out only once.",
            "schema": {"type": "string", "pattern": f"^{KEY.pattern}$"},
        }
    yield {
        "name": "X-Request-ID",
        "in": "header",
        "required": False,
        "description": "8 to 64 letters, digits, `-` and `_`. Any other value is replaced with a new id.",
        "schema": _TEXT,
    }


def _query_schema(member: dict[str, Any]) -> dict[str, Any]:
    schema = _without_null(member)
    described = {"description": schema.pop("description")} if "description" in schema else {}
    return {**described, "schema": schema}


def _without_null(member: dict[str, Any]) -> dict[str, Any]:
    """Of `… | None`, which no query and no form can spell."""
    schema = {name: value for name, value in member.items() if name != "anyOf"}
    choices = [choice for choice in member.get("anyOf", []) if choice != {"type": "null"}]
    if choices:
        (choice,) = choices
        schema |= choice
        if schema.get("default") is None:
            del schema["default"]
    return schema


def _responses(declared: Operation, api: ApiDescription, models: _Models) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, answered in declared.answers.items():
        described: dict[str, Any] = {
            "description": HTTPStatus(status).phrase,
            "headers": _headers(declared.answer_headers),
        }
        if answered is not None:
            described["content"] = {
                JSON if isinstance(kind, type) else kind.media_type: {"schema": models.of_answer(kind)}
                for kind in kinds(answered)
            }
        responses[str(status)] = described
    by_status: dict[int, list[type[Problem]]] = defaultdict(list)
    for problem in dict.fromkeys(_problems(declared, api)):
        by_status[problem.status].append(problem)
    for status, problems in sorted(by_status.items()):
        limited = declared.answer_headers if status == HTTPStatus.TOO_MANY_REQUESTS else {}
        responses[str(status)] = {
            "description": "; ".join(dict.fromkeys(problem.title for problem in problems)),
            "headers": _headers({**_HEADERS_BY_STATUS.get(status, {}), **limited}),
            "content": _error_content(declared, problems, models),
        }
    return responses


def _error_content(declared: Operation, problems: Sequence[type[Problem]], models: _Models) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    if (form := declared.error_form) is not None:
        told = {problem.error: form.of(_example(problem)).model_dump(mode="json") for problem in problems}
        named = {name: {"value": value} for name, value in told.items()}
        # What is refused before the operation is known, such as an address that is none, stays a problem document.
        return {JSON: {"schema": models.of_answer(form.model), "examples": named}, PROBLEM_JSON: {"schema": schema}}
    examples = {problem.error: {"value": _example(problem)} for problem in problems}
    return {PROBLEM_JSON: {"schema": schema, "examples": examples}, JSON: {"schema": schema}}


def _problems(declared: Operation, api: ApiDescription) -> Iterable[type[Problem]]:
    """Every problem that the operation can answer: its own, its guard's and those of the edge."""
    yield MalformedRequest
    if api.requires_https:
        yield HttpsRequired
    yield from declared.guard.problems
    if declared.path_arguments:
        yield NotFound
    for body in declared.bodies:
        yield from body.problems
    if declared.query is not None:
        yield from (AddressTooLong, ValidationFailed)
    yield from declared.problems
    yield from (InternalError, DependencyUnavailable)


def _headers(own: Mapping[str, str]) -> dict[str, Any]:
    described = {name: {"description": text, "schema": _TEXT} for name, text in own.items()}
    return {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}, **described}


def _example(problem: type[Problem]) -> dict[str, Any]:
    example = problem_members(problem, problem.title, _EXAMPLE_REQUEST_ID)
    if issubclass(problem, ValidationFailed):
        example["errors"] = [{"pointer": "/goal", "code": "missing", "message": "Field required"}]
    return example
