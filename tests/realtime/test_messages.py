"""What clients of a path may send, and what becomes of the rest."""

import json
from collections.abc import Iterator

import pytest

from tests.databases import ask
from tests.metering.limit_backends import eventually
from tests.realtime.conftest import METRICS_TOKEN, Accounts
from tests.realtime.message_socket import MessageSocket
from tests.realtime.raw_socket import RawSocket
from tests.realtime.realtime_process import RealtimeProcess
from tests.realtime.test_coming_back import LISTENER
from tests.realtime.toy_messages import SUBPROTOCOL
from tests.realtime.toy_sockets import NEWS

pytestmark = pytest.mark.slow

MALFORMED, TOO_LARGE = 4400, 1009
SESSION = "0190a0a0-0000-7000-8000-000000000000"


@pytest.fixture(scope="session")
def _alices(accounts: Accounts) -> str:
    return accounts.person("enterprise").token


@pytest.fixture
def alice(realtime: RealtimeProcess, _alices: str) -> Iterator[MessageSocket]:
    with MessageSocket(realtime.url, _alices) as opened:
        yield opened


def test_a_message_is_an_object_with_a_type_in_both_directions(alice: MessageSocket) -> None:
    alice.connection.send('{"type": "echo", "data": "h\\u0000i \\u00e4", "more": {"is": "ignored"}}')
    assert json.loads(alice.connection.recv()) == {"type": "said", "data": "h\x00i ä"}
    assert alice.ask("work", "worked")["data"].startswith("sockets")


@pytest.mark.parametrize("data", [None, 7, "a", {"sent": [1.5, None]}, "x" * 1022])
def test_ping_is_answered_with_what_came_with_it(alice: MessageSocket, data: object) -> None:
    assert alice.ask("ping", "pong", data=data) == ({} if data is None else {"data": data})


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "nothing"}, "unknown_type"),
        ({"type": ""}, "unknown_type"),
        ({"type": " messages"}, "unknown_type"),
        ({"type": "echo"}, "validation_failed"),
        ({"type": "echo", "data": 7}, "validation_failed"),
        ({"type": "echo", "data": "a", "session_id": 7}, "validation_failed"),
        ({"type": "ping", "data": "x" * 1024}, "validation_failed"),
        ({"type": "refuse"}, "not_today"),
        ({"type": "fail"}, "internal_error"),
    ],
)
def test_what_is_wrong_with_a_message_is_told_and_the_socket_lives(
    alice: MessageSocket, message: dict[str, object], code: str
) -> None:
    alice.connection.send(json.dumps(message))
    told = alice.heard("error")
    assert told.keys() == {"data"}
    error = told["data"]
    assert (error["code"], error["retryable"], bool(error["message"])) == (code, False, True)
    assert "a secret" not in json.dumps(told)
    assert ("errors" in error) == (code == "validation_failed")
    assert alice.ask("echo", "said", data="still here")


def test_an_error_says_whose_it_is_and_when_to_try_again(realtime: RealtimeProcess, alice: MessageSocket) -> None:
    error = alice.ask("busy", "error", session_id=SESSION)
    assert error["session_id"] == SESSION
    assert (error["data"]["code"], error["data"]["retryable"], error["data"]["retry_after"]) == ("too_busy", True, 7)
    assert alice.ask("refuse", "error", session_id="a password").keys() == {"data"}
    assert alice.ask("fail", "error", session_id="x" * 65)["data"]["request_id"] in realtime.output()
    assert alice.ask("refuse", "error", session_id=[SESSION]).keys() == {"data"}


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param("hello", id="no-json"),
        pytest.param("", id="empty"),
        pytest.param('[{"type":"echo"}]', id="array"),
        pytest.param('"type"', id="text"),
        pytest.param("null", id="null"),
        pytest.param('{"data":"a"}', id="no-type"),
        pytest.param('{"type":7}', id="type-no-text"),
        pytest.param('{"type":NaN}', id="nan"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param(b'{"type":"echo","data":"a"}', id="binary"),
    ],
)
def test_what_is_no_message_closes_the_socket(alice: MessageSocket, frame: str | bytes) -> None:
    alice.connection.send(frame)
    assert alice.closed() == MALFORMED


def test_the_largest_message_is_128_kib(realtime: RealtimeProcess, alice: MessageSocket) -> None:
    assert alice.ask("echo", "said", data="a" * (128 * 1024 - 100))
    said = len(realtime.output())
    alice.say("echo", data="a" * 200 * 1024)
    assert alice.closed() == TOO_LARGE
    eventually(lambda: '"reason":"too_large"' in realtime.output()[said:].replace(" ", ""))


def test_a_message_in_several_frames_is_one(alice: MessageSocket) -> None:
    alice.connection.send(iter(['{"type":"echo",', '"data":', '"whole"}']))
    assert alice.heard("said") == {"data": "whole"}


def test_a_handler_closes_with_its_own_code_after_what_it_said(alice: MessageSocket) -> None:
    alice.say("close", code=4404, reason="gone")
    assert alice.closed() == 4404
    assert alice.close_reason == "gone"
    assert alice.heard_before == [{"type": "said", "data": "goodbye"}]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(None, None), ([SUBPROTOCOL], SUBPROTOCOL), (["other", SUBPROTOCOL], SUBPROTOCOL), (["other"], None)],
    ids=["none", "ours", "both", "another"],
)
def test_the_subprotocol_is_confirmed_when_it_is_offered(
    realtime: RealtimeProcess, _alices: str, offered: list[str] | None, chosen: str | None
) -> None:
    with MessageSocket(realtime.url, _alices, subprotocols=offered) as opened:
        assert opened.connection.subprotocol == chosen


def test_both_kinds_of_sockets_hear_what_is_told_to_the_process(
    realtime: RealtimeProcess, accounts: Accounts, alice: MessageSocket, _alices: str
) -> None:
    with RawSocket(realtime.url, _alices) as other:
        eventually(lambda: len(ask(accounts.database_url, LISTENER)) == 1)
        ask(accounts.database_url, f"NOTIFY {NEWS}, 'hello'")
        assert alice.heard("news") == {"data": "hello"}
        assert other.heard("toy:heard") == ["hello"]


def test_they_are_counted_and_their_log_has_ids_alone(realtime: RealtimeProcess, alice: MessageSocket) -> None:
    assert alice.ask("echo", "said", data="a canary in the text")
    assert alice.ask("nothing", "error")
    _, text = realtime.get("/metrics", Authorization=f"Bearer {METRICS_TOKEN}")
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(values["mirroros_sockets"]) >= 1
    assert float(values['mirroros_socket_events_total{event="echo",outcome="ok"}']) >= 1
    assert float(values['mirroros_socket_events_total{event="unknown",outcome="refused"}']) >= 1
    assert "canary" not in realtime.output()
