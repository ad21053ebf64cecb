"""What an operation takes as its body: JSON of a model, a form of a page, or bytes as they come. A form with files is in
multipart.py."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qsl

from flask import request
from pydantic import BaseModel, RootModel, ValidationError
from werkzeug.datastructures import MultiDict

from security.api.strict_json import (
    USUAL_MEDIA_TYPES,
    check_json,
    read_whole_body,
    require_plain_json,
    require_uncompressed,
)
from security.api.strict_query import QueryReader
from security.edge.arriving_request import LARGEST_KEPT_BODY
from security.edge.problems import (
    BodyTooLarge,
    MalformedJson,
    MalformedRequest,
    Problem,
    UnsupportedMediaType,
    ValidationFailed,
    field_error,
)

LARGEST_BODY = 20_000_000
"""Bytes of the largest body that an operation may declare. The proxies in deploy/ let as much through."""
MOST_ERRORS = 100
"""A body of ten thousand wrong fields is not worth an answer of ten thousand errors."""

LARGE = 256 * 1024
_large_body_is_parsed = threading.Lock()
"""Parsing five megabytes keeps the interpreter's lock for ten milliseconds. One at a time, so that all other requests find the lock
free in between when many large bodies arrive together."""

FORM = "application/x-www-form-urlencoded"
FORM_LIMIT = 64 * 1024
MOST_FIELDS = 200
FORM_FIELDS = "mirroros.form_fields"

query_reader = cache(QueryReader)
"""One for each model, because making it writes the model's schema."""


class Schemas(Protocol):
    """What the OpenAPI document knows of the models."""

    def of_body(self, model: type[BaseModel]) -> dict[str, Any]:
        """A reference to the model's component."""

    def members(self, model: type[BaseModel]) -> tuple[dict[str, Any], set[str]]:
        """The schemas of the members of a model that is no component, and the names of those that must be sent."""


class RequestBody(ABC):
    """A kind of body. `model` is what the document describes it by, `inline` in its own place and not as a component."""

    media_type: str
    limit: int
    model: type[BaseModel] | None
    optional: bool = False
    inline = False
    problems: tuple[type[Problem], ...] = (BodyTooLarge, UnsupportedMediaType)

    @abstractmethod
    def read(self) -> Any:
        """What the handler gets as `body`. Raises one of `problems`."""

    @abstractmethod
    def described(self, schemas: Schemas) -> dict[str, Any]:
        """The OpenAPI media type object."""


@dataclass(frozen=True)
class Json(RequestBody):
    """Strict JSON of a model. `limit` is bytes. `optional`: the handler gets None where no body was sent."""

    model: type[BaseModel]
    limit: int = 64 * 1024
    optional: bool = False
    media_type = "application/json"
    problems = (MalformedJson, BodyTooLarge, UnsupportedMediaType, ValidationFailed)

    def read(self) -> BaseModel | None:
        environ = request.environ
        if self.optional and not _was_sent(environ):
            return None
        if environ.get("CONTENT_TYPE") not in USUAL_MEDIA_TYPES or "HTTP_CONTENT_ENCODING" in environ:
            require_plain_json(environ)
        document = read_whole_body(environ, self.limit)
        if len(document) > LARGE:
            with _large_body_is_parsed:
                return self._parsed(document)
        return self._parsed(document)

    def _parsed(self, document: bytes) -> BaseModel:
        check_json(document)
        return parse(self.model, document)

    def described(self, schemas: Schemas) -> dict[str, Any]:
        return {"schema": schemas.of_body(self.model)}


@dataclass(frozen=True)
class Form(RequestBody):
    """What a `<form>` of a page posts. Its texts are read as those of a query are: see strict_query.py."""

    model: type[BaseModel]
    media_type = FORM
    limit = FORM_LIMIT
    inline = True
    problems = (MalformedRequest, BodyTooLarge, UnsupportedMediaType, ValidationFailed)

    def read(self) -> BaseModel:
        return parse(self.model, query_reader(self.model).document(form_fields()))

    def described(self, schemas: Schemas) -> dict[str, Any]:
        properties, required = schemas.members(self.model)
        return {"schema": {"type": "object", "properties": properties, "required": sorted(required)}}


def form_fields() -> MultiDict[str, str]:
    """The fields of the form that this request posts. It is read once, for a guard may look at it before the handler's model.

    Raises UnsupportedMediaType, BodyTooLarge, MalformedRequest.
    """
    environ = request.environ
    fields: MultiDict[str, str] | None = environ.get(FORM_FIELDS)
    if fields is None:
        if request.mimetype != FORM:
            raise not_accepted(FORM)
        require_uncompressed(environ)
        try:
            text = read_whole_body(environ, FORM_LIMIT).decode("ascii")
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
        except ValueError:  # bytes that are no UTF-8, or too many fields
            raise MalformedRequest("The request body is not a valid form") from None
        fields = environ[FORM_FIELDS] = MultiDict(pairs)
    return fields


@dataclass(frozen=True)
class Raw(RequestBody):
    """Bytes as they come, at most `limit`: an upload, or what a signature was made over."""

    media_type: str
    limit: int
    model = None

    def read(self) -> bytes:
        if request.mimetype != self.media_type:
            raise not_accepted(self.media_type)
        require_uncompressed(request.environ)
        return read_whole_body(request.environ, self.limit)

    def described(self, schemas: Schemas) -> dict[str, Any]:
        if self.media_type == "application/json":
            return {"schema": {"type": "object", "additionalProperties": True}}
        return {"schema": {"type": "string", "format": "binary"}}


def not_accepted(*media_types: str) -> UnsupportedMediaType:
    names = ", ".join(media_types)
    return UnsupportedMediaType(f"Send the body as {' or '.join(media_types)}", headers={"Accept-Post": names})


def reader_of(bodies: tuple[RequestBody, ...], *, late: bool = False) -> Callable[[], Any]:
    """Reads the body; of several that are declared, the one of the request's media type.

    `late`: the operation has slots, so its threads may wait for bodies that the web server does not keep until they are whole.
    Raises ValueError for a larger limit.
    """
    largest = LARGEST_BODY if late else LARGEST_KEPT_BODY
    if any(body.limit > largest for body in bodies):
        raise ValueError(f"A body can have at most {largest:,} bytes here: see `within` of operation() and deploy/")
    if len(bodies) == 1:
        return bodies[0].read
    by_media_type = {body.media_type: body for body in bodies}

    def read() -> Any:
        body = by_media_type.get(request.mimetype)
        if body is None:
            raise not_accepted(*by_media_type)
        return body.read()

    return read


def _was_sent(environ: dict[str, Any]) -> bool:
    """RFC 9112, 6.3: a request has a body when it says how long it is, or that it comes in chunks."""
    return environ.get("CONTENT_LENGTH") not in {None, "", "0"} or "HTTP_TRANSFER_ENCODING" in environ


Model = TypeVar("Model", bound=BaseModel)


def parse(model: type[Model], document: bytes) -> Model:
    """Check a JSON document against its model. Raises ValidationFailed that names every bad field at once."""
    try:
        parsed: Model = model.__pydantic_validator__.validate_json(document)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
    else:
        return parsed
    if found[0]["type"] == "json_invalid":
        raise MalformedJson
    tags = 1 if issubclass(model, RootModel) else 0  # pydantic puts the form's tag before the names of its members
    raise ValidationFailed(
        [
            field_error(each["loc"][tags:], each["type"], each["msg"].removeprefix("Value error, "))
            for each in found[:MOST_ERRORS]
        ]
    )
