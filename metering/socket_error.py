"""How a client of a socket of a path is told of a Problem."""

from http import HTTPStatus
from typing import Any, Final

from pydantic import Field

from security.api.models import AnswerBody
from security.edge.problems import Problem
from security.edge.request_id import current_request_id

MAY_WORK_LATER: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


class WrongMember(AnswerBody):
    pointer: str
    """A JSON Pointer (RFC 6901) into the message."""
    code: str
    message: str


class ErrorData(AnswerBody):
    code: str
    """Stable. Codes may be added: treat those that you do not know by `retryable`."""
    message: str
    """For people."""
    retryable: bool
    """Whether the same message may succeed later."""
    request_id: str
    """Quote it when you ask for help."""
    retry_after: int | None = Field(default=None, exclude_if=lambda value: value is None)
    """Seconds."""
    errors: list[WrongMember] | None = Field(default=None, exclude_if=lambda value: value is None)
    """What is wrong with each member."""


class ErrorTold(AnswerBody):
    session_id: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """That of the message that failed, when it had one."""
    data: ErrorData


def error_members(problem: Problem, session_id: str | None = None) -> dict[str, Any]:
    """Of the message `error`: `socket.emit("error", error_members(problem, session_id))`."""
    data: dict[str, Any] = {
        "code": problem.error,
        "message": problem.detail,
        "retryable": problem.status in MAY_WORK_LATER,
        "request_id": current_request_id(),
    }
    if (seconds := problem.headers.get("Retry-After")) is not None:
        data["retry_after"] = int(seconds)
    if (errors := problem.members.get("errors")) is not None:
        data["errors"] = errors
    return {"data": data} if session_id is None else {"session_id": session_id, "data": data}
