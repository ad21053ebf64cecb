import json
import logging
import re
from contextvars import Context, copy_context
from typing import Any

import pytest
import structlog
from flask import Flask

from security.edge.request_id import begin_exchange, note_caller
from security.logs.log import configure_logging, security_event
from security.logs.mask_secrets import mask
from tests.toy_api import ALICE, BOB, toy_app

TRACE = "0af7651916cd43dd8448eb211c80319c"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def logged_app() -> Flask:
    return toy_app(request_log=configure_logging("INFO"))


def test_a_request_leaves_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    headers = {"Authorization": "Bearer good", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    answer = logged_app().test_client().put("/toy/wishes?secret=1", json={"goal": "run"}, headers=headers)
    (line,) = lines(capsys)
    assert line.pop("duration_ms") >= 0
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "event": "request",
        "method": "PUT",
        "route": "/toy/wishes",
        "status": 200,
        "bytes": len(answer.data),
        "request_id": answer.headers["X-Request-ID"],
        "trace_id": TRACE,
        "user_id": str(ALICE),
    }


def test_a_request_without_a_trace_begins_one(capsys: pytest.CaptureFixture[str]) -> None:
    client = logged_app().test_client()
    client.get("/toy/wishes")
    client.get("/toy/wishes")
    traces = {line["trace_id"] for line in lines(capsys)}
    assert len(traces) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", trace) for trace in traces)


def test_the_line_names_the_rule_and_never_the_path(capsys: pytest.CaptureFixture[str], canary: str) -> None:
    client = logged_app().test_client()
    client.get(f"/{canary}?{canary}={canary}", headers={"User-Agent": canary})
    client.delete(f"/toy/wishes/{ALICE}")
    output = capsys.readouterr().out
    assert canary not in output
    assert [json.loads(line)["route"] for line in output.splitlines()] == [None, "/toy/wishes/<uuid:wish_id>"]


def test_of_flasks_own_server_only_its_address_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    server = logging.getLogger("werkzeug")
    server.info("\x1b[31mWARNING: This is a development server.\x1b[0m\n * Running on http://127.0.0.1:8000")
    server.info('127.0.0.1 - - [29/Nov/2026 10:00:00] "GET /?token=secret HTTP/1.1" 200 -')
    assert [line["event"] for line in lines(capsys)] == ["listening on http://127.0.0.1:8000"]


def test_one_callers_id_does_not_stay_for_the_next_request(capsys: pytest.CaptureFixture[str]) -> None:
    client = logged_app().test_client()
    client.put("/toy/wishes", json={"goal": "run"}, headers={"Authorization": "Bearer good"})
    client.get("/toy/wishes")
    assert ["user_id" in line for line in lines(capsys)] == [True, False]


def test_who_acts_in_a_users_place_is_in_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    headers = {"Authorization": "Bearer good of somebody else"}
    logged_app().test_client().put("/toy/wishes", json={"goal": "run"}, headers=headers)

    def impersonated() -> None:
        begin_exchange({})
        note_caller(ALICE, BOB)
        security_event("something_seen")

    copy_context().run(impersonated)
    for line in lines(capsys):
        assert (line["user_id"], line["actor_id"]) == (str(ALICE), str(BOB))


def test_nobody_acts_in_the_place_of_a_user_who_calls(capsys: pytest.CaptureFixture[str]) -> None:
    logged_app().test_client().put("/toy/wishes", json={"goal": "run"}, headers={"Authorization": "Bearer good"})
    assert ["actor_id" in line for line in lines(capsys)] == [False]


def test_an_invented_method_does_not_reach_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    logged_app().test_client().open("/toy/wishes", method="X\x1b[2J")
    assert lines(capsys)[0]["method"] == "other"


def test_no_line_is_written_above_info(capsys: pytest.CaptureFixture[str]) -> None:
    toy_app(request_log=configure_logging("WARNING")).test_client().get("/toy/wishes")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("pretty", [False, True])
@pytest.mark.parametrize(
    "hostile", ['x\n{"level":"info"}', "a\r\nb", "\x1b[31mred", "\x9b31m", "\x7f", "a\u2028b\u2029c\x85d", "\0"]
)
def test_no_value_can_break_a_line_or_command_a_terminal(
    hostile: str, pretty: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("INFO", pretty=pretty)
    structlog.get_logger().info(hostile, value=hostile, **{f"key{hostile}": 1})
    logging.getLogger("library").warning("said %s", hostile)
    output = capsys.readouterr().out
    assert len(output.splitlines()) == 2
    assert not set(output) & set("\r\x1b\x9b\x7f\u2028\u2029\x85\0")


@pytest.mark.prints_secrets("they are handed to the log, which masks them; pytest keeps the records as they were")
@pytest.mark.parametrize(
    "secret",
    [
        JWT,
        "tok_" + "a1B2" * 8,
        "rt_" + "x-Y_" * 8,
        "sc_" + "y-Z_" * 8,
        "dt_" + "z-A_" * 8,
        "ot_" + "a-B_" * 8,
        "msk_" + "c3D4" * 8,
        "alice@example.com",
        "Alice.Hara+tag@mail.example.co.uk",
        "sk_live_" + "a1B2" * 8,
        "sk-proj-" + "a1B2" * 8,
        "sk-ant-api03-" + "a1_B" * 8,
        "gsk_" + "a1B2" * 8,
        "AIza" + "a1-B" * 8,
        "whsec_" + "a1B2" * 8,
        "$2b$12$" + "a1B2." * 10 + "abc",
    ],
)
def test_secrets_are_masked_wherever_they_stand(secret: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    structlog.get_logger().info(f"saw {secret}!", value=secret, nested={"list": [secret, {secret: "key"}]})
    logging.getLogger("library").error("saw %s", secret)
    try:
        int(secret)
    except ValueError:
        structlog.get_logger().exception("failed")
        logging.getLogger("library").exception("failed")
    output = capsys.readouterr().out
    assert output.count("[masked]") >= 5
    assert secret not in output


PRIVATE_KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\nZXktdjE=\n-----END OPENSSH PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abc.def", "Authorization: Bearer [masked]"),
        ("postgresql://user:pw@host/db", "postgresql://[masked]@host/db"),
        ("redis://:pw@host:6379/0", "redis://[masked]@host:6379/0"),
        ("start_time of the part_number", "start_time of the part_number"),
        ("a@b", "a@b"),
        ("risk-taking-and-more-than-that", "risk-taking-and-more-than-that"),
        (f"x {PRIVATE_KEY} y", "x [masked] y"),
        (f"x {PRIVATE_KEY[:60]}", "x [masked]"),
        (
            'new row violates "kept"\nDETAIL:  Failing row contains (7, a\nb, Run).\nHINT:  none',
            'new row violates "kept"\nDETAIL:  [masked]\nHINT:  none',
        ),
        (
            "column \"n\" does not exist\nLINE 1: INSERT INTO t VALUES ('Alice', 'a\nb')\n                  ^\nHINT:  none",
            'column "n" does not exist\nLINE 1: [masked]\nHINT:  none',
        ),
        (
            'invalid input syntax for type uuid: "Alice"\nCONTEXT:  unnamed portal parameter $1',
            "invalid input syntax for type uuid: [masked]\nCONTEXT:  [masked]",
        ),
        (
            'invalid input value for enum tier: "Alice"\n\n[SQL: x]',
            "invalid input value for enum tier: [masked]\n\n[SQL: x]",
        ),
        ("not unique\nDETAIL:  Key (name)=(Alice) exists.\n", "not unique\nDETAIL:  [masked]"),
        ("not unique\nDETAIL:  Key (name)=(Alice) exists.\n\nThe above", "not unique\nDETAIL:  [masked]\n\nThe above"),
    ],
)
def test_masking_takes_the_secret_and_leaves_the_rest(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_what_a_secrets_name_says_is_masked_whatever_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    structlog.get_logger().info("signing in", password="tulip", nested=[{"Cookie": "s=1", "token": None}])
    logging.getLogger("library").info("signing in", extra={"otp": 123456})
    ours, theirs = lines(capsys)
    assert (ours["password"], ours["nested"]) == ("[masked]", [{"Cookie": "[masked]", "token": None}])
    assert theirs["otp"] == "[masked]"


def test_a_record_that_cannot_be_written_is_not_shown_unmasked(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    logging.getLogger("library").info("of %d", "alice@example.com")
    assert capsys.readouterr() == ("", "")


def test_values_that_json_cannot_hold_do_not_stop_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    structlog.get_logger().info("odd", big=2**70, half="\ud800", raw=b"\xff", thing=object(), **{"set": {1}})
    assert lines(capsys)[0]["big"] == str(2**70)


def test_library_records_take_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")

    def requested() -> None:
        begin_exchange({"HTTP_X_REQUEST_ID": "request-of-alice"})
        logging.getLogger("library").warning("slow by %d ms", 5, extra={"part": "database"})

    copy_context().run(requested)
    (line,) = lines(capsys)
    assert line["part"] == "database"
    assert (line["event"], line["logger"], line["level"]) == ("slow by 5 ms", "library", "warning")
    assert line["request_id"] == "request-of-alice"
    assert not line.keys() & {"msg", "args", "exc_info"}


def test_an_exception_is_a_field_of_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    try:
        int("no luck")
    except ValueError as error:
        structlog.get_logger().error("failed", exc_info=error)
        logging.getLogger("library").exception("failed")
    for line in lines(capsys):
        assert line["exception"].startswith("Traceback")
        assert line["exception"].endswith("ValueError: invalid literal for int() with base 10: 'no luck'")


def test_a_person_reads_exceptions_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", pretty=True)
    error = RuntimeError("no\x1b[31m\nluck")
    Context().run(structlog.get_logger().error, "failed", part="mail", exc_info=error)
    first, *more = capsys.readouterr().out.splitlines()
    assert re.search(r"Z \[error\s*\] failed\s+part=mail$", first)
    assert more == ["    RuntimeError: no\\u001b[31m", "    luck"]


def test_configuring_twice_does_not_double_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    configure_logging("INFO")
    logging.getLogger("library").warning("once")
    assert len(lines(capsys)) == 1


def test_a_security_event_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    security_event("refresh_token_reused", session_id=ALICE)
    (line,) = lines(capsys)
    assert (line["event"], line["kind"], line["session_id"]) == ("refresh_token_reused", "security", str(ALICE))


def test_only_what_may_be_an_attack_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    security_event("signed_in", notable=False)
    security_event("sign_in_failed")
    assert [line["level"] for line in lines(capsys)] == ["info", "warning"]


def test_a_security_event_says_where_it_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    with toy_app(trusted_proxy_hops=1).test_request_context(headers={"X-Forwarded-For": "203.0.113.9"}):
        security_event("sign_in_failed")
    security_event("something_seen")
    assert [line.get("ip") for line in lines(capsys)] == ["203.0.113.9", None]


def test_every_line_has_one_form_of_time(capsys: pytest.CaptureFixture[str]) -> None:
    logged_app().test_client().get("/toy/wishes")
    structlog.get_logger().info("ours")
    logging.getLogger("library").warning("theirs")
    found = lines(capsys)
    assert len(found) == 3
    for line in found:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["timestamp"]), line


def test_staging_says_why_a_request_was_refused(capsys: pytest.CaptureFixture[str]) -> None:
    app = toy_app(request_log=configure_logging("DEBUG"))
    app.test_client().put("/toy/wishes", json={"goal": 7}, headers={"Authorization": "Bearer good"})
    app.test_client().put("/toy/wishes", json={"goal": "run"})
    refused = [line for line in lines(capsys) if line["event"] == "refused"]
    assert [(line["level"], line["status"], line["error"]) for line in refused] == [
        ("debug", 422, "validation_failed"),
        ("debug", 401, "not_signed_in"),
    ]
    assert refused[0]["errors"][0]["pointer"] == "/goal"
    configure_logging("INFO")
    app.test_client().put("/toy/wishes", json={"goal": "run"})
    assert "refused" not in {line["event"] for line in lines(capsys)}
