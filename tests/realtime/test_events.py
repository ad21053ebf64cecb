"""What clients may send, and what becomes of the rest."""

import json
from collections.abc import Iterator

import pytest

from tests.realtime.conftest import METRICS_TOKEN, Accounts
from tests.realtime.raw_socket import RawSocket
from tests.realtime.realtime_process import RealtimeProcess

pytestmark = pytest.mark.slow

MALFORMED, TOO_LARGE, TOO_MANY, SLOW = 4400, 1009, 4429, 4408


def test_an_event_is_answered_with_a_result_or_a_problem(realtime: RealtimeProcess, accounts: Accounts) -> None:
    with RawSocket(realtime.url, accounts.person().token) as alice:
        assert alice.ask("toy:weigh", b"12345") == {"ok": True, "bytes": 5}
        refused = alice.ask("toy:refuse", {})
        assert (refused["ok"], refused["status"], refused["error"]) == (False, 409, "not_today")
        assert refused["request_id"]
        assert alice.ask("toy:work", {})["thread"].startswith("sockets")


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("toy:echo", [{"text": 7}], "validation_failed"),
        ("toy:echo", [{"text": "a", "more": 1}], "validation_failed"),
        ("toy:echo", [], "validation_failed"),
        ("toy:echo", ["text"], "validation_failed"),
        ("toy:echo", [{"text": "a"}, {"text": "b"}], "validation_failed"),
        ("toy:echo", [{"text": "a\x00b"}], "malformed_json"),
        ("toy:echo", [{"text": "\ud800"}], "malformed_json"),
        ("toy:echo", [b"bytes"], "validation_failed"),
        ("toy:weigh", [{"text": "a"}], "validation_failed"),
        ("toy:nothing", [{}], "unknown_event"),
        ("connect", [{}], "unknown_event"),
        ("disconnect", ["transport close"], "unknown_event"),
        ("message", ["hello"], "unknown_event"),
        ("*", ["hello"], "unknown_event"),
    ],
)
def test_what_is_wrong_with_an_event_is_told_and_the_socket_lives(
    realtime: RealtimeProcess, alice: RawSocket, name: str, arguments: list[object], error: str
) -> None:
    assert alice.ask(name, *arguments)["error"] == error
    assert alice.ask("toy:echo", {"text": "still here"})["ok"]


@pytest.fixture(scope="session")
def _alices(realtime: RealtimeProcess, accounts: Accounts) -> str:
    return accounts.person("enterprise").token


@pytest.fixture
def alice(realtime: RealtimeProcess, _alices: str) -> Iterator[RawSocket]:
    with RawSocket(realtime.url, _alices) as opened:
        yield opened


def test_who_asks_for_no_answer_is_told_of_an_error_by_an_event(alice: RawSocket) -> None:
    alice.send('42["toy:refuse",{}]')
    assert alice.heard("error")[0]["error"] == "not_today"


def test_a_failure_of_ours_tells_nothing_of_itself(realtime: RealtimeProcess, alice: RawSocket) -> None:
    problem = alice.ask("toy:fail", {})
    assert problem["error"] == "internal_error"
    assert "a secret" not in json.dumps(problem)
    assert problem["request_id"] in realtime.output()


def test_what_blocks_the_loop_is_noticed(realtime: RealtimeProcess, alice: RawSocket) -> None:
    """All tests here run in a process in which a blocking call on the loop is an error, and none of ours is one."""
    assert alice.ask("toy:block", {})["error"] == "internal_error"
    lines = [line for line in realtime.output().splitlines() if "BlockingError" in line]
    assert lines
    assert all("time.sleep" in line and "toy_sockets.py" in line for line in lines)


def test_a_room_is_of_one_user(realtime: RealtimeProcess, accounts: Accounts) -> None:
    token, other = accounts.person().token, accounts.person().token
    url = realtime.url
    with RawSocket(url, token) as phone, RawSocket(url, token) as laptop, RawSocket(url, other) as stranger:
        for each in (phone, laptop, stranger):
            assert each.ask("toy:join", {"room": "kitchen"})["ok"]
        assert phone.ask("toy:tell", {"room": "kitchen"})["told"] == 2
        assert phone.heard("toy:told")[0] == laptop.heard("toy:told")[0] == {"room": "kitchen"}
        assert stranger.ask("toy:echo", {"text": "a"})["ok"]
        assert ["toy:told"] not in [each[:1] for each in stranger.events]


def test_too_many_events_close_the_socket(alice: RawSocket, realtime: RealtimeProcess, _alices: str) -> None:
    with RawSocket(realtime.url, _alices) as bystander:
        alice.send(*['42["toy:echo",{"text":"a"}]'] * 1000)
        assert alice.closed() == TOO_MANY
        assert ["disconnect"] in alice.events
        assert bystander.ask("toy:echo", {"text": "still here"})["ok"]


def test_an_event_of_1_mib_closes_the_socket(alice: RawSocket) -> None:
    alice.send(f'42["toy:echo",{{"text":"{"a" * 2**20}"}}]')
    assert alice.closed() == TOO_LARGE


def test_an_event_above_its_size_closes_the_socket(alice: RawSocket) -> None:
    assert alice.ask("toy:echo", {"text": "a" * 90_000})["ok"]
    alice.send(f'42["toy:echo",{{"text":"{"ä" * 60_000}"}}]')  # bytes count, not characters
    assert alice.closed() == TOO_LARGE


@pytest.mark.parametrize("bytes_", [65 * 1024, 101 * 1024])
def test_bytes_above_their_size_close_the_socket(alice: RawSocket, bytes_: int) -> None:
    alice.send('451-["toy:weigh",{"_placeholder":true,"num":0}]', bytes(bytes_))
    assert alice.closed() == TOO_LARGE


def test_bytes_that_never_end_close_the_socket(alice: RawSocket) -> None:
    alice.send('45999999999-["toy:weigh",{"_placeholder":true,"num":0}]', *[bytes(60_000)] * 3)
    assert alice.closed() == TOO_LARGE


@pytest.mark.parametrize(
    "frames",
    [
        ["42"],
        ["42{}"],
        ["42[]"],
        ["42[7]"],
        ['42"toy:echo"'],
        ["42[" + "[" * 5000],
        ["49"],
        ["4x"],
        ['451-["toy:weigh",{"_placeholder":true,"num":7}]', b"1"],
        ['451-["toy:weigh",{"_placeholder":true,"num":"x"}]', b"1"],
        [b"bytes of nothing"],
        [""],
        ["x"],
        ["45-1", '42["toy:echo",{"text":"a"}]'],
        ["4" + "2" * 200],
    ],
)
def test_what_cannot_be_read_closes_the_socket(alice: RawSocket, frames: list[str | bytes]) -> None:
    alice.send(*frames)
    assert alice.closed() == MALFORMED


@pytest.mark.parametrize("frame", ["9", "40/other,{}", "43999[]"])
def test_what_means_nothing_does_no_harm(alice: RawSocket, realtime: RealtimeProcess, _alices: str, frame: str) -> None:
    alice.send(frame)
    with RawSocket(realtime.url, _alices) as bystander:
        assert bystander.ask("toy:echo", {"text": "still here"})["ok"]


def test_who_does_not_read_is_closed_when_its_queue_is_full(realtime: RealtimeProcess, _alices: str) -> None:
    with RawSocket(realtime.url, _alices) as lazy, RawSocket(realtime.url, _alices) as bystander:
        lazy.send('42["toy:burst",{"count":3000,"size":1000}]')
        assert bystander.ask("toy:echo", {"text": "still here"})["ok"]
        assert lazy.closed() == SLOW


def test_who_reads_slowly_is_waited_for(alice: RawSocket) -> None:
    alice.send('42["toy:flood",{"count":600,"size":2000}]')
    assert [alice.heard("toy:drop")[0]["number"] for _ in range(600)] == list(range(600))


def test_the_process_says_how_it_is(realtime: RealtimeProcess) -> None:
    assert realtime.get("/health/live") == (200, {"status": "ok"})
    status, ready = realtime.get("/health/ready")
    assert (status, ready["parts"]["database"]["status"]) == (200, "ok")
    for path in ("/", "/api/auth/profile", "/socket.io/other", "/ws/terminal", "/health/other", "/metrics"):
        status, problem = realtime.get(path)
        assert (status, problem["error"]) == (404, "not_found")


def test_it_counts_what_it_does(realtime: RealtimeProcess, alice: RawSocket) -> None:
    assert alice.ask("toy:echo", {"text": "a"})["ok"]
    status, text = realtime.get("/metrics", Authorization=f"Bearer {METRICS_TOKEN}")
    assert status == 200
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(values["mirroros_sockets"]) >= 1
    assert float(values["mirroros_sockets_connected_total"]) >= 1
    assert float(values['mirroros_socket_events_total{event="toy:echo",outcome="ok"}']) >= 1


def test_its_log_has_ids_and_sizes_alone(realtime: RealtimeProcess, alice: RawSocket, _alices: str) -> None:
    assert alice.ask("toy:echo", {"text": "a canary in the text"})["ok"]
    output = realtime.output()
    assert "socket_opened" in output
    assert "canary" not in output
    assert _alices not in output
    assert "EIO=4" not in output
