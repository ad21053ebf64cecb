import json
from typing import Any

import psycopg2
import psycopg2.errors
import pytest
import redis
import sqlalchemy.exc
from flask import Flask, abort, got_request_exception
from werkzeug.exceptions import ClientDisconnected
from werkzeug.test import TestResponse

from security.edge.problems import TooManyRequests
from security.logs.log import configure_logging
from tests.toy_api import told, toy_app


def answer_to(error: Exception) -> TestResponse:
    configure_logging("INFO")
    app = toy_app()

    @app.get("/raise")
    def fail() -> str:
        raise error

    return app.test_client().get("/raise")


def database_error(kind: type[sqlalchemy.exc.DBAPIError], cause: Exception) -> Exception:
    return kind("SELECT 1", {}, cause)


class WithState(psycopg2.Error):
    """psycopg2 sets `pgcode` in C, from the server's answer; a subclass can state it."""

    def __init__(self, code: str) -> None:
        super().__init__("said by the server")
        self._code = code

    @property
    def pgcode(self) -> str:  # type: ignore[override]
        return self._code


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(
            database_error(sqlalchemy.exc.OperationalError, psycopg2.OperationalError("connection refused")),
            id="no server",
        ),
        pytest.param(sqlalchemy.exc.TimeoutError("QueuePool limit"), id="pool is empty"),
        pytest.param(psycopg2.OperationalError("connection refused"), id="no server, without SQLAlchemy"),
        pytest.param(database_error(sqlalchemy.exc.InterfaceError, psycopg2.InterfaceError("closed")), id="closed"),
        pytest.param(database_error(sqlalchemy.exc.OperationalError, WithState("40P01")), id="deadlock"),
        pytest.param(database_error(sqlalchemy.exc.OperationalError, WithState("40001")), id="serialization"),
        pytest.param(database_error(sqlalchemy.exc.OperationalError, WithState("57014")), id="statement timeout"),
        pytest.param(database_error(sqlalchemy.exc.OperationalError, WithState("55P03")), id="lock timeout"),
        pytest.param(database_error(sqlalchemy.exc.OperationalError, WithState("57P01")), id="shut down"),
        pytest.param(database_error(sqlalchemy.exc.OperationalError, WithState("53300")), id="too many connections"),
        pytest.param(database_error(sqlalchemy.exc.InternalError, WithState("25006")), id="read-only replica"),
        pytest.param(redis.ConnectionError("connection refused"), id="no Redis"),
        pytest.param(redis.TimeoutError("too slow"), id="slow Redis"),
    ],
)
def test_a_dependency_out_of_reach_is_503_and_says_when_to_come_back(error: Exception) -> None:
    answer = answer_to(error)
    assert (answer.status_code, told(answer)["error"]) == (503, "service_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("code", ["22P02", "22003", "22021"])
def test_a_value_that_the_database_refuses_is_422(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = answer_to(database_error(sqlalchemy.exc.DataError, WithState(code)))
    assert (answer.status_code, told(answer)["error"]) == (422, "validation_failed")
    assert '"event":"database_refused_value"' in capsys.readouterr().out


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("a bug"),
        database_error(sqlalchemy.exc.ProgrammingError, WithState("42703")),
        database_error(sqlalchemy.exc.IntegrityError, WithState("23505")),
        RecursionError("too deep"),
        KeyError("missing"),
    ],
)
def test_any_other_exception_is_500_without_a_detail(error: Exception) -> None:
    answer = answer_to(error)
    assert answer.status_code == 500
    assert set(told(answer)) == {
        "type",
        "title",
        "status",
        "detail",
        "instance",
        "error",
        "message",
        "request_id",
    }
    assert told(answer)["detail"] == "Something went wrong on our side"


def test_an_unexpected_exception_is_logged_with_its_trace_and_nothing_of_the_request(
    canary: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log = configure_logging("INFO")
    app = toy_app(request_log=log)

    @app.post("/raise/<name>")
    def fail(name: str) -> str:
        local = name
        raise RuntimeError(f"{len(local)} characters for alice@example.com")

    answer = app.test_client().post(
        f"/raise/{canary}?code={canary}",
        data=canary,
        headers={"X-Secret": canary, "Authorization": f"Bearer {canary}"},
    )
    output = capsys.readouterr().out
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line["event"] for line in lines] == ["unexpected_error", "request"]
    assert "RuntimeError: 38 characters for [masked]" in lines[0]["exception"]
    assert "test_error_handlers.py" in lines[0]["exception"]
    assert {line["request_id"] for line in lines} == {answer.headers["X-Request-ID"]}
    assert canary not in output
    assert canary not in answer.text


def test_error_reporting_hears_of_an_unexpected_exception() -> None:
    heard: list[Any] = []
    with got_request_exception.connected_to(lambda sender, exception: heard.append(exception)):
        error = RuntimeError("a bug")
        answer_to(error)
    assert heard == [error]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "malformed_request"),
        (403, "forbidden"),
        (404, "not_found"),
        (406, "not_acceptable"),
        (408, "request_timeout"),
        (413, "body_too_large"),
        (414, "request_uri_too_long"),
        (415, "unsupported_media_type"),
        (416, "requested_range_not_satisfiable"),
        (418, "im_a_teapot"),
        (431, "request_header_fields_too_large"),
        (501, "not_implemented"),
    ],
)
def test_werkzeugs_refusals_become_problems(status: int, code: str, canary: str) -> None:
    app = toy_app()
    app.add_url_rule("/refuse", view_func=lambda: abort(status, canary))
    answer = app.test_client().get("/refuse")
    assert (answer.status_code, told(answer)["error"]) == (status, code)
    assert canary not in answer.text


def test_a_client_that_went_away_is_400() -> None:
    assert answer_to(ClientDisconnected()).status_code == 400


def test_debug_mode_shows_no_more(toy: Flask) -> None:
    toy.debug = True
    toy.testing = True
    toy.add_url_rule("/raise", view_func=lambda: str(1 / 0))
    answer = toy.test_client().get("/raise")
    assert (answer.status_code, "ZeroDivision" in answer.text) == (500, False)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "1 second"),
        (0.2, "1 second"),
        (34, "34 seconds"),
        (119.5, "120 seconds"),
        (120, "2 minutes"),
        (9000, "3 hours"),
    ],
)
def test_a_429_says_when_to_try_again(seconds: float, words: str) -> None:
    answer = answer_to(TooManyRequests(seconds, "One a day"))
    assert (answer.status_code, told(answer)["detail"]) == (429, f"One a day. Try again in {words}")
