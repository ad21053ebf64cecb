"""What an operation answers with. A plain model stands for JSON; every other kind says how it is sent and described."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from flask import Response, request
from pydantic import BaseModel

from security.api.compressible import Compressible
from security.edge.json_response import JsonResponse
from security.edge.response_headers import CONTENT_SECURITY_POLICY


@dataclass(frozen=True)
class Answer:
    """What a handler returns. `body` is what the declared kind takes; for JSON an instance of its model, or bytes that are
    JSON already.
    """

    status: int
    body: BaseModel | bytes | str | Compressible | Iterable[Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Content(ABC):
    """A kind of answer that is not JSON. `models` are those whose schemas `described` refers to."""

    media_type: str
    documented = True
    """Whether it is for programs, which read the OpenAPI document."""
    models: tuple[type[BaseModel], ...] = ()

    def described(self, reference: Callable[[type[BaseModel]], dict[str, Any]]) -> dict[str, Any]:
        """The OpenAPI schema."""
        return {"type": "string"}

    @abstractmethod
    def respond(self, answer: Answer) -> Response: ...


Kind = type[BaseModel] | Content
Answers = Mapping[int, Kind | tuple[Kind, ...] | None]
"""By status: a kind, several that the client chooses from, or None for an answer without a body."""
NO_CONTENT: Answers = MappingProxyType({204: None})


def kinds(declared: Kind | tuple[Kind, ...] | None) -> tuple[Kind, ...]:
    if declared is None:
        return ()
    return declared if isinstance(declared, tuple) else (declared,)


def responder(answers: Answers) -> Callable[[Any], Response]:
    """Makes the response of what a handler returned."""
    if answers is NO_CONTENT:
        return lambda answer: respond(answer or Answer(204))
    contents = {
        status: content
        for status, declared in answers.items()
        for content in kinds(declared)
        if not isinstance(content, type)
    }
    if not contents:
        return respond

    def respond_as_declared(answer: Answer) -> Response:
        is_json = answer.body is None or isinstance(answer.body, BaseModel | bytes)
        return respond(answer) if is_json else contents[answer.status].respond(answer)

    return respond_as_declared


def respond(answer: Answer) -> Response:
    if isinstance(answer.body, BaseModel):
        content: Any = answer.body.__pydantic_serializer__.to_json(answer.body)
    else:
        content = answer.body
    return JsonResponse(content, answer.status, answer.headers)


@dataclass(frozen=True)
class Page(Content):
    """HTML for people, left out of the OpenAPI document. The handler returns its text.

    `policy` is its Content-Security-Policy, in which whatever it does not name is forbidden. `indexed`: search engines may
    list it. `forms`: it has forms, which post to this server.
    """

    policy: str
    indexed: bool = False
    forms: bool = False
    media_type = "text/html"
    documented = False

    def respond(self, answer: Answer) -> Response:
        response = Response(answer.body, answer.status, content_type="text/html; charset=utf-8")  # type: ignore[arg-type]
        targets = "'self'" if self.forms else "'none'"
        response.headers[CONTENT_SECURITY_POLICY] = (
            f"default-src 'none'; {self.policy}; frame-ancestors 'none'; base-uri 'none'; form-action {targets}"
        )
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        if not self.indexed:
            response.headers["X-Robots-Tag"] = "noindex"
        response.headers.update(answer.headers)
        return response


@dataclass(frozen=True)
class StaticFile(Content):
    """A text that is the same for everybody, with an ETag, compressed where the client accepts it. The handler returns a
    `Compressible`. Left out of the OpenAPI document, which is one itself.
    """

    media_type: str
    documented = False

    def respond(self, answer: Answer) -> Response:
        response = answer.body.answer(request)  # type: ignore[union-attr]
        response.headers.update(answer.headers)
        return response


@dataclass(frozen=True)
class SeeOther(Content):
    """For 303: where the browser goes after a form was sent (RFC 9110, 15.4.4). The handler says it in `Location`."""

    media_type = "text/html"
    documented = False

    def respond(self, answer: Answer) -> Response:
        return respond(answer)


@dataclass(frozen=True)
class PageData(Content):
    """JSON for the script of a page of ours, left out of the OpenAPI document. The handler returns a model."""

    media_type = "application/json"
    documented = False

    def respond(self, answer: Answer) -> Response:
        return respond(answer)
