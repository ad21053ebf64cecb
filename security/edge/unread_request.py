"""The answer to a request that could not be read. It never reached the application, so the bytes are written here."""

from http import HTTPStatus

import orjson

from database.base import uuid7
from security.edge.error_handlers import problem_of_status
from security.edge.problems import PROBLEM_JSON, problem_members
from security.edge.response_headers import UNREAD_REQUEST


def unread_request_answer(status: HTTPStatus) -> bytes:
    """A whole HTTP/1.1 answer, after which the connection closes: where the next request begins is unknown."""
    request_id = str(uuid7())
    problem = problem_of_status(status.value, status.phrase)
    body = orjson.dumps(problem_members(problem, problem.title, request_id))
    headers = [
        ("Connection", "close"),
        ("Content-Type", PROBLEM_JSON),
        ("Content-Length", str(len(body))),
        *UNREAD_REQUEST,
        ("X-Request-ID", request_id),
    ]
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n".encode() + body
