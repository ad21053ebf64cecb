"""Errors as RFC 9457 problems.

Each error is a class with its status and its stable code; one place turns them into answers.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from security.logs.mask_secrets import mask

PROBLEM_JSON = "application/problem+json"


class Problem(Exception):
    """An error that the client is told about. Subclasses stand beside the code that raises them.

    `error` is the stable snake_case code that clients compare; `detail` is a sentence for the person who
    reads it. Extra members go into the body as they are.
    """

    status: ClassVar[int] = 500
    error: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong on our side"
    type: ClassVar[str | None] = None

    def __init__(self, detail: str | None = None, *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.headers = dict(headers or {})
        self.members = members

    def body(self, request_id: str) -> dict[str, Any]:
        return {**problem_members(type(self), self.detail, request_id), **self.members}


def problem_members(problem: type[Problem], detail: str, request_id: str) -> dict[str, Any]:
    """RFC 9457 members, then the members `error`, `message` and `request_id` that older clients read."""
    return {
        "type": problem.type or f"urn:mirroros:problem:{problem.error}",
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
        "instance": f"urn:mirroros:request:{request_id}",
        "error": problem.error,
        "message": detail,
        "request_id": request_id,
    }


def in_words(seconds: float) -> str:
    """How long to wait, rounded up, for a sentence: `34 seconds`, `2 minutes`."""
    unit, length = next((each for each in (("hours", 3600), ("minutes", 60)) if seconds >= 2 * each[1]), ("seconds", 1))
    count = max(1, math.ceil(seconds / length))
    return "1 second" if (count, unit) == (1, "seconds") else f"{count} {unit}"


def retry_after(seconds: float) -> dict[str, str]:
    """The `Retry-After` header (RFC 9110, 10.2.3): whole seconds, rounded up, at least 1."""
    return {"Retry-After": str(max(1, -int(-seconds // 1)))}


class MalformedJson(Problem):
    status, error, title = 400, "malformed_json", "The request body is not valid JSON"


class MalformedRequest(Problem):
    status, error, title = 400, "malformed_request", "The request could not be read"


class HttpsRequired(Problem):
    """No redirect: the credential has already crossed the network in the open."""

    status, error, title = 403, "https_required", "Use https"

    def __init__(self) -> None:
        super().__init__(
            "Use https: this API does not accept plain http. Operators: the proxy that terminates https must set "
            "X-Forwarded-Proto and be counted in TRUSTED_PROXY_HOPS"
        )


class InternalError(Problem):
    """Says nothing about the cause; the log line with the same request id does."""

    status, error, title = 500, "internal_error", "Something went wrong on our side"


class Unauthorized(Problem):
    """Says in `WWW-Authenticate` how to authenticate (RFC 9110, 11.6.1)."""

    status = 401
    challenge: ClassVar[str] = 'Bearer realm="mirroros"'

    def __init__(self, detail: str | None = None, **members: Any) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": self.challenge}, **members)


class NotSignedIn(Unauthorized):
    """RFC 6750, 3: no `error` member in the challenge when no credential was sent."""

    error, title = "not_signed_in", "Sign in first, and send the access token as `Authorization: Bearer …`"


class InvalidToken(Unauthorized):
    """One answer for every bad token, so that nothing can be learned by trying."""

    error, title = "invalid_token", "The access token is no longer valid. Refresh it or sign in again"
    challenge = 'Bearer realm="mirroros", error="invalid_token"'


class NotFound(Problem):
    status, error, title = 404, "not_found", "Not found"


class MethodNotAllowed(Problem):
    status, error, title = (
        405,
        "method_not_allowed",
        "This address does not support this method. The `Allow` header lists the methods that it supports",
    )


class RequestTimeout(Problem):
    """The client was too slow (RFC 9110, 15.5.9). The connection is closed after the answer."""

    status, error, title = 408, "request_timeout", "The request did not arrive in time"


class BodyTooLarge(Problem):
    status, error, title = 413, "body_too_large", "The request body is too large"


class AddressTooLong(Problem):
    """gunicorn's `limit_request_line` is reached before any code of ours."""

    status, error, title = 414, "request_uri_too_long", "Request-URI Too Long"


class UnsupportedMediaType(Problem):
    """Whoever raises it says in `Accept-Post` or `Accept-Encoding` what is accepted."""

    status, error, title = 415, "unsupported_media_type", "The media type of the request body is not supported"


def field_error(location: Iterable[str | int], code: str, message: str) -> dict[str, str]:
    """One of ValidationFailed. `location`: the names and numbers on the way to the field."""
    pointer = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)
    return {"pointer": pointer, "code": code, "message": message}


class ValidationFailed(Problem):
    """`errors` names every field at once: `pointer` (RFC 6901), `code`, `message`.

    A field's name is the caller's own text: a token that stands where a name belongs is masked.
    """

    status, error, title = 422, "validation_failed", "Some fields are not valid"

    def __init__(self, errors: Sequence[Mapping[str, str]]) -> None:
        super().__init__(errors=[{**each, "pointer": mask(each["pointer"])} for each in errors])


class TooManyRequests(Problem):
    status, error, title = 429, "too_many_requests", "Too many requests"

    def __init__(self, seconds: float, detail: str | None = None) -> None:
        super().__init__(f"{detail or self.title}. Try again in {in_words(seconds)}", headers=retry_after(seconds))


class DependencyUnavailable(Problem):
    """PostgreSQL or another part that the answer needs cannot be reached. Nothing was changed."""

    status, error, title = 503, "service_unavailable", "Part of the service is unavailable right now"

    def __init__(self, detail: str | None = None, *, seconds: float = 2) -> None:
        super().__init__(detail, headers=retry_after(seconds))


class TooBusy(Problem):
    """The process already works on as many requests of this kind as it can. Nothing was done."""

    status, error, title = 503, "too_busy", "Too many requests of this kind are in progress. Try again in a moment"

    def __init__(self, detail: str | None = None, *, seconds: float = 2) -> None:
        super().__init__(detail, headers=retry_after(seconds))
