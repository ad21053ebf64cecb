import csv
from collections.abc import Iterator
from io import StringIO
from threading import Thread
from typing import Any

import orjson
import pytest
from flask import Flask, got_request_exception, request
from pydantic import BaseModel

from security.api.answers import Answer
from security.api.streams import Csv, Event, Events, Outlet, Pushed
from security.edge.problems import PROBLEM_JSON
from security.logs.log import RequestLog
from tests.toy_api import Granted, told, toy_app


class Text(BaseModel):
    text: str | None


def test_events_go_out_as_the_standard_writes_them(toy: Flask) -> None:
    answer = toy.test_client().get("/toy/events")
    assert answer.data == (
        b'id: 1\nevent: wish\ndata: {"goal":"run\\nfar","count":1}\n\n'
        b": ping\n\n"
        b'event: paid\ndata: {"state":"paid","amount":3}\n\n'
    )
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["RateLimit"] == '"day";r=1'
    assert not {"Content-Length", "ETag", "Content-Encoding"} & set(answer.headers.keys())


def test_the_client_chooses_between_a_stream_and_one_answer(toy: Flask) -> None:
    answer = toy.test_client().get("/toy/events?stream=false")
    assert (answer.content_type, told(answer)) == ("application/json", {"state": "paid", "amount": 1})


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\0b"])
def test_an_event_has_no_name_or_id_that_would_begin_another_line(name: str) -> None:
    for event in (Event(Granted(goal="x", count=1), name), Event(Granted(goal="x", count=1), id=name)):
        with pytest.raises(ValueError, match="one line"):
            event.encoded()


def test_an_error_before_the_first_event_is_a_problem(toy: Flask) -> None:
    answer = toy.test_client().get("/toy/events?fails=first")
    assert (answer.status_code, answer.content_type, told(answer)["error"]) == (400, PROBLEM_JSON, "malformed_key")


@pytest.mark.parametrize(
    ("fails", "error", "message"),
    [
        ("later", "malformed_key", "It broke"),
        ("unexpectedly", "internal_error", "Something went wrong on our side"),
    ],
)
def test_a_later_error_is_an_event_with_the_problem(toy: Flask, fails: str, error: str, message: str) -> None:
    reported: list[Exception] = []

    def report(_: Flask, exception: Exception) -> None:
        reported.append(exception)

    with got_request_exception.connected_to(report, toy):
        answer = toy.test_client().get(
            f"/toy/events?fails={fails}", headers={"X-Request-ID": "request-1"}, buffered=True
        )
    last = answer.data.split(b"\n\n")[-2]
    assert last.startswith(b"event: error\ndata: ")
    problem = orjson.loads(last.removeprefix(b"event: error\ndata: "))
    assert (problem["error"], problem["message"], problem["request_id"]) == (error, message, "request-1")
    assert [type(each) for each in reported] == ([RuntimeError] if fails == "unexpectedly" else [])


def test_the_log_line_does_not_wait_for_the_end(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    toy = toy_app(request_log=RequestLog(enabled=True))
    client = toy.test_client()
    answer = client.get("/toy/events?waits=true")
    logged = orjson.loads(capfdbinary.readouterr().out.splitlines()[-1])
    assert (logged["route"], logged["status"], logged["bytes"]) == ("/toy/events", 200, None)
    client.post("/toy/release")
    assert answer.data.count(b"event: ") == 2


def test_head_of_a_stream_makes_nothing_of_it(toy: Flask) -> None:
    answer = toy.test_client().head("/toy/events?waits=true")
    assert (answer.status_code, answer.data) == (200, b"")


@pytest.mark.parametrize("server", ["gunicorn.socket", "another"])
def test_a_thread_may_send_parts_of_an_answer_whose_own_thread_waits(toy: Flask, server: str) -> None:
    outlet, written = Outlet(), list[bytes]()

    def send() -> None:
        outlet.send(b": sent\n\n")
        outlet.wake()

    def events() -> Iterator[bytes]:
        yield b": first\n\n"
        Thread(target=send).start()
        while not written and not (handed_on := outlet.wait(10)):
            pass
        if not written:
            yield handed_on
        yield b": last\n\n"

    with toy.test_request_context():
        response = Events(Text).respond(Answer(200, Pushed(events(), outlet)))
        body = response({**request.environ, server: None}, lambda *_: written.append)
        yielded = list(body)
        response.close()
    assert (yielded, written) == (
        ([b": first\n\n", b": last\n\n"], [b": sent\n\n"])
        if server == "gunicorn.socket"
        else ([b": first\n\n", b": sent\n\n", b": last\n\n"], [])
    )


def test_whoever_sends_is_told_nothing_of_a_client_that_is_gone() -> None:
    outlet = Outlet()

    def write(_: bytes) -> None:
        raise BrokenPipeError

    outlet.write = write
    outlet.send(b": ping\n\n")
    assert outlet.gone


def test_csv_is_rfc_4180_and_no_cell_is_a_formula(toy: Flask) -> None:
    answer = toy.test_client().get("/toy/wishes.csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="wishes.csv"'
    assert answer.data == (
        b"name,amount,note,at,paid\r\n"
        b'"\'=cmd|""0""",0,,2026-01-31T00:00:00Z,true\r\n'
        b'"\'=cmd|""1""",-1,,2026-01-31T00:00:00Z,true\r\n'
    )


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n", "\0", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_every_beginning_of_a_formula_is_quoted(toy: Flask, first: str) -> None:
    assert list(_csv(toy, f"{first}1+1")) == [["text"], [f"'{first}1+1"]]


@pytest.mark.parametrize("text", ["", "plain", "a=1", 'quote " comma , line\r\nend', "é 日本"])
def test_any_other_text_comes_back_as_it_was(toy: Flask, text: str) -> None:
    assert list(_csv(toy, text)) == [["text"], [text]]


def _csv(toy: Flask, text: str) -> Any:
    with toy.test_request_context():
        response = Csv(Text).respond(Answer(200, [Text(text=text)]))
        content = b"".join(response.iter_encoded()).decode()
        response.close()
    return csv.reader(StringIO(content, newline=""))


def test_csv_without_rows_has_its_columns(toy: Flask) -> None:
    assert toy.test_client().get("/toy/wishes.csv?rows=0").data == b"name,amount,note,at,paid\r\n"


def test_a_long_csv_is_sent_in_pieces(toy: Flask) -> None:
    pieces = list(toy.test_client().get("/toy/wishes.csv?rows=5000", buffered=False).iter_encoded())
    assert len(pieces) > 5
    assert len(list(csv.reader(StringIO(b"".join(pieces).decode(), newline="")))) == 5001


def test_rows_that_fail_at_once_are_an_ordinary_error(toy: Flask) -> None:
    answer = toy.test_client().get("/toy/wishes.csv?fails_at=0")
    assert (answer.status_code, told(answer)["error"]) == (500, "internal_error")


def test_rows_that_fail_later_break_the_answer_off_and_are_reported_once(toy: Flask) -> None:
    reported: list[Exception] = []

    def report(_: Flask, exception: Exception) -> None:
        reported.append(exception)

    with (
        got_request_exception.connected_to(report, toy),
        pytest.raises(RuntimeError, match="secret"),
    ):
        list(toy.test_client().get("/toy/wishes.csv?rows=5000&fails_at=4000", buffered=False).iter_encoded())
    assert len(reported) == 1


class Source:
    """Not a generator: whatever has `close` is closed."""

    ended = False

    def __iter__(self) -> Iterator[Event]:
        return iter([Event(Text(text="1")), Event(Text(text="2"))])

    def close(self) -> None:
        self.ended = True


def test_what_the_handler_gave_ends_with_the_answer(toy: Flask) -> None:
    """A client that goes away closes it."""
    source = Source()
    with toy.test_request_context():
        response = Events(Text).respond(Answer(200, source))
        next(iter(response.iter_encoded()))
        assert not source.ended
        response.close()
    assert source.ended


def test_the_document_names_the_data_of_events_and_the_columns(toy: Flask) -> None:
    document = told(toy.test_client().get("/openapi.json"))
    paths = document["paths"]
    content = paths["/toy/events"]["get"]["responses"]["200"]["content"]
    assert set(content) == {"application/json", "text/event-stream"}
    events = content["text/event-stream"]["schema"]
    assert "`wish`: `Granted`; `paid`: `Paid`; `error`: `Problem`" in events["description"]
    assert [
        (event["properties"]["event"]["const"], event["properties"]["data"]["contentSchema"]["$ref"])
        for event in events["contentSchema"]["items"]["oneOf"]
    ] == [
        ("wish", "#/components/schemas/Granted"),
        ("paid", "#/components/schemas/Paid"),
        ("error", "#/components/schemas/Problem"),
    ]
    table = paths["/toy/wishes.csv"]["get"]["responses"]["200"]["content"]["text/csv"]["schema"]
    assert "Columns: `name`, `amount`, `note`, `at`, `paid`." in table["description"]
    assert table["contentSchema"] == {"type": "array", "items": {"$ref": "#/components/schemas/Row"}}


def test_an_event_without_a_name_is_described_as_one() -> None:
    schema = Events(Granted).described(lambda model: {"$ref": f"#/components/schemas/{model.__name__}"})
    unnamed, error = schema["contentSchema"]["items"]["oneOf"]
    assert ("event" in unnamed["properties"], error["properties"]["event"]) == (False, {"const": "error"})
    assert "no name: `Granted`" in schema["description"]
