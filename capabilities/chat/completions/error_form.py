"""Errors as OpenAI's API tells them (developers.openai.com/api/docs/guides/error-codes)."""

from collections.abc import Mapping
from typing import Any, Final

from security.api.models import AnswerBody
from security.api.operation import ErrorForm

TYPES: Final = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}


class ErrorMembers(AnswerBody):
    message: str
    """For people. It may change."""
    type: str
    """`invalid_request_error`, `authentication_error`, `permission_error`, `insufficient_quota`, `rate_limit_error` or
    `server_error`."""
    param: str | None
    """The first field that is not valid, such as `messages[0].content`."""
    code: str
    """The stable code, which is the `error` of the problem documents of other operations."""


class OpenAIError(AnswerBody):
    error: ErrorMembers
    request_id: str


def openai_error(problem: Mapping[str, Any]) -> OpenAIError:
    errors = problem.get("errors") or ()
    told = "; ".join(f"{_field(each['pointer']) or 'the body'}: {each['message']}" for each in errors)
    return OpenAIError(
        error=ErrorMembers(
            message=f"{problem['detail']}: {told}" if told else problem["detail"],
            type=TYPES.get(problem["status"], "server_error" if problem["status"] >= 500 else "invalid_request_error"),
            param=_field(errors[0]["pointer"]) if errors else None,
            code=problem["error"],
        ),
        request_id=problem["request_id"],
    )


def _field(pointer: str) -> str | None:
    """`/messages/0/content` as `messages[0].content`; None for the body as a whole."""
    written = ""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        written += f"[{name}]" if name.isdigit() else f".{name}"
    return written.removeprefix(".") or None


OPENAI_ERRORS: Final = ErrorForm(OpenAIError, openai_error)
