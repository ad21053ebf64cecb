"""The one place where an exception becomes an answer: always an RFC 9457 problem, never a detail of our own parts."""

from functools import lru_cache
from http import HTTPStatus
from typing import ClassVar

import orjson
import psycopg
import psycopg2
import redis
import sqlalchemy.exc
import structlog
from flask import Flask, Response, current_app, got_request_exception, request
from werkzeug.datastructures import MIMEAccept
from werkzeug.exceptions import HTTPException, SecurityError
from werkzeug.http import parse_accept_header

from security.edge.json_response import JsonResponse
from security.edge.problems import (
    PROBLEM_JSON,
    BodyTooLarge,
    DependencyUnavailable,
    InternalError,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    Problem,
    UnsupportedMediaType,
    ValidationFailed,
)
from security.edge.request_id import current_request_id
from security.edge.switched_off import told_of_path

_BY_STATUS: dict[int, type[Problem]] = {
    problem.status: problem
    for problem in (MalformedRequest, NotFound, MethodNotAllowed, BodyTooLarge, UnsupportedMediaType)
}

# PostgreSQL's appendix A. Class 08 is a broken connection, 53 is a full server, 57 an operator's or a time
# limit's stop, 40 a deadlock or a serialization failure; 55P03 is a lock that was waited for too long, 25006
# a server that is a replica now.
_UNAVAILABLE_CLASSES = ("08", "53", "57", "40")
_UNAVAILABLE_CODES = ("55P03", "25006")
_BAD_DATA_CLASS = "22"

ERROR_FORM = "mirroros.error_form"
"""Where a request of an operation in the format of another API keeps what makes such an error of a problem document."""
PROBLEM_PAGES = "problem_pages"
"""Where an application keeps the function that shows a problem as a page; it returns None for what is not asked by a page."""

_REDIS_ERRORS = (redis.ConnectionError, redis.TimeoutError)
_DATABASE_ERRORS = (sqlalchemy.exc.SQLAlchemyError, psycopg2.Error, psycopg.Error)
_OUT_OF_REACH = (
    sqlalchemy.exc.TimeoutError,
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
)


def install_error_handlers(app: Flask) -> None:
    app.register_error_handler(Problem, answer_problem)
    app.register_error_handler(HTTPException, _answer_http_exception)
    for error in (*_REDIS_ERRORS, *_DATABASE_ERRORS, Exception):
        app.register_error_handler(error, _answer_error)


def answer_problem(problem: Problem) -> Response:
    """The problem as an answer.

    A client that accepts only `application/json` gets the same object under that name. Pages show it as a page, and operations in
    the format of another API as its errors are.
    """
    structlog.get_logger().debug(
        "refused",
        status=problem.status,
        error=problem.error,
        detail=problem.detail,
        errors=problem.members.get("errors"),
    )
    if (form := request.environ.get(ERROR_FORM)) is not None:
        told = form(problem.body(current_request_id()))
        return JsonResponse(told.model_dump_json().encode(), problem.status, problem.headers)
    page: Response | None = current_app.extensions.get(PROBLEM_PAGES, _no_page)(problem)
    if page is not None:
        return page
    body = orjson.dumps(problem.body(current_request_id()))
    return JsonResponse(body, problem.status, problem.headers, _accepted(request.environ.get("HTTP_ACCEPT", "")))


def _no_page(_: Problem) -> None:
    return None


@lru_cache
def _accepted(accept: str) -> str:
    """The media type of a problem, for a client that sent this `Accept` header."""
    accepts = parse_accept_header(accept, MIMEAccept)
    return "application/json" if accepts["application/json"] and not accepts[PROBLEM_JSON] else PROBLEM_JSON


def _answer_http_exception(error: HTTPException) -> Response:
    """Werkzeug's own refusals. Its descriptions are replaced, because some repeat what the client sent."""
    status = error.code or 500
    problem = problem_of_status(status, error.name)(_detail(error))
    # `Allow` of a 405, `Location` of a redirect, `Content-Range` of a 416.
    kept = {name: value for name, value in error.get_headers() if name not in {"Content-Type", "Content-Length"}}
    problem.headers.update(kept)
    return answer_problem(problem)


def _detail(error: HTTPException) -> str | None:
    """What to do about it, where only the edge knows; None for what the problem says itself."""
    if isinstance(error, SecurityError):
        return (
            "This API does not serve this host name. Use the address in its documentation. "
            "Operators: add the host to TRUSTED_HOSTS"
        )
    if error.code == HTTPStatus.NOT_FOUND:
        return (
            told_of_path(current_app, request.path) or "This address does not exist. /openapi.json lists all addresses"
        )
    return None


@lru_cache
def problem_of_status(code: int, name: str) -> type[Problem]:
    """The problem of a status that no code of ours answers. `name`: the status in words."""
    if code in _BY_STATUS:
        return _BY_STATUS[code]

    class StatusProblem(Problem):
        status: ClassVar[int] = code
        error: ClassVar[str] = name.lower().replace(" ", "_").replace("-", "_").replace("'", "")
        title: ClassVar[str] = name

    return StatusProblem


def _answer_error(error: Exception) -> Response:
    problem = problem_of(error)
    if isinstance(problem, InternalError):
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        # Flask sends this signal only for exceptions without a handler; error reporting listens to it.
        got_request_exception.send(app, exception=error)
    return answer_problem(problem)


def problem_of(error: Exception) -> Problem:
    """What a client is told of it. The log has the rest."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, _REDIS_ERRORS):
        structlog.get_logger().warning("redis_unavailable", error_type=type(error).__name__)
        return DependencyUnavailable()
    if isinstance(error, _DATABASE_ERRORS) and (problem := _problem_of_database(error)) is not None:
        return problem
    # The traceback names files and lines, never local variables or the body.
    structlog.get_logger().error("unexpected_error", exc_info=error)
    return InternalError()


def _problem_of_database(error: Exception) -> Problem | None:
    """None for what nobody expected."""
    cause = getattr(error, "orig", None) or error
    code: str = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or ""
    if code.startswith(_BAD_DATA_CLASS):
        # The last net: it means that a model let through what the database cannot hold.
        structlog.get_logger().error("database_refused_value", sqlstate=code, exc_info=error)
        return ValidationFailed([])
    if (
        code.startswith(_UNAVAILABLE_CLASSES)
        or code in _UNAVAILABLE_CODES
        or (not code and isinstance(cause, _OUT_OF_REACH))
    ):
        structlog.get_logger().warning("database_unavailable", sqlstate=code, error_type=type(cause).__name__)
        return DependencyUnavailable()
    return None
