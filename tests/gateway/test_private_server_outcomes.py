"""What the private server can do wrong: the right status, nothing charged, nothing left reserved, and a row that says why."""

import socket
from collections.abc import Iterator

import pytest

from examples.private_server.switches import Fault, Switches
from gateway.settings import ResponseVerification
from tests.gateway.raw_server import replying_with
from tests.gateway.running_gateway import RunningGateway, running_gateway


@pytest.fixture
def gateway(database_url: str) -> Iterator[RunningGateway]:
    with running_gateway(database_url) as running:
        yield running


@pytest.fixture
def impatient_gateway(database_url: str) -> Iterator[RunningGateway]:
    with running_gateway(database_url, timeout=0.6) as running:
        yield running


SILENCES = [Switches(Fault.HANG), Switches(Fault.TRICKLE), Switches(delay_seconds=5)]
FAULTS = [
    (Switches(Fault.NOT_JSON), 502, "prediction_failed", "result_not_json"),
    (Switches(Fault.NAN), 502, "prediction_failed", "result_not_json"),
    (Switches(Fault.HTML), 502, "prediction_failed", "result_not_json"),
    (Switches(Fault.HUGE), 502, "prediction_failed", "reply_too_large"),
    (Switches(Fault.GZIP), 502, "prediction_failed", "reply_encoded"),
    (Switches(Fault.UNSIGNED), 502, "prediction_failed", "response_not_signed"),
    (Switches(Fault.BAD_SIGNATURE), 502, "prediction_failed", "response_signature_invalid"),
    (Switches(Fault.OTHER_NONCE), 502, "prediction_failed", "response_signature_invalid"),
    (Switches(Fault.REFLECTED), 502, "prediction_failed", "response_signature_invalid"),
    (Switches(Fault.STATUS_CHANGED), 502, "prediction_failed", "status_201"),
    (Switches(Fault.BODY_CHANGED), 502, "prediction_failed", "response_signature_invalid"),
    (Switches(Fault.BODY_CUT), 502, "prediction_failed", "connection_lost"),
    (Switches(Fault.REDIRECT), 502, "prediction_failed", "status_307"),
    (Switches(Fault.CLOSE), 502, "prediction_failed", "connection_lost"),
    (Switches(Fault.STATUS, status=500), 502, "prediction_failed", "status_500"),
    (Switches(Fault.STATUS, status=503), 502, "prediction_failed", "status_503"),
    (Switches(Fault.STATUS, status=401), 502, "request_failed", "status_401"),
    (Switches(Fault.STATUS, status=403), 502, "request_failed", "status_403"),
    (Switches(Fault.STATUS, status=429), 429, "service_busy", "status_429"),
    (Switches(Fault.STATUS, status=400), 422, "prediction_refused", "status_400"),
    (Switches(Fault.STATUS, status=422), 422, "prediction_refused", "status_422"),
]


@pytest.mark.parametrize(("switches", "status", "error", "reason"), FAULTS, ids=lambda value: str(value)[:40])
def test_a_failure_is_told_recorded_and_not_charged(
    gateway: RunningGateway, switches: Switches, status: int, error: str, reason: str
) -> None:
    fails_and_costs_nothing(gateway, switches, status, error, reason)
    gateway.private.switches = Switches()
    assert gateway.ask().get_json()["metadata"]["predictions_remaining_today"] == 4


@pytest.mark.parametrize("switches", SILENCES, ids=lambda value: str(value)[:40])
def test_a_private_server_that_takes_too_long_is_a_timeout(
    impatient_gateway: RunningGateway, switches: Switches
) -> None:
    fails_and_costs_nothing(impatient_gateway, switches, 504, "request_timeout", "timeout")


def fails_and_costs_nothing(gateway: RunningGateway, switches: Switches, status: int, error: str, reason: str) -> None:
    gateway.private.switches = switches
    answer = gateway.ask()
    assert (answer.status_code, answer.get_json()["error"]) == (status, error)
    assert "upstream-secret-text" not in answer.get_data(as_text=True) + str(answer.headers)
    (row,) = gateway.requests()
    assert (row["success"], row["error_code"], row["status"]) == (False, reason, status)
    assert (gateway.used(), gateway.reserved(), gateway.private.seen.predictions) == (0, 0, 1)


@pytest.mark.parametrize(("said", "told"), [(None, 5), (0, 1), (7, 7), (100_000, 300)])
def test_a_busy_private_server_is_waited_for_within_bounds(
    gateway: RunningGateway, said: int | None, told: int
) -> None:
    gateway.private.switches = Switches(Fault.STATUS, status=429, retry_after=said)
    answer = gateway.ask()
    assert answer.headers["Retry-After"] == str(told)
    assert "violated-policies" not in answer.get_json()


def test_nobody_listening_is_503(database_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with running_gateway(database_url, private_url=address) as gateway:
            answer = gateway.ask()
            assert (answer.status_code, answer.get_json()["error"]) == (503, "service_unavailable")
            assert "Retry-After" in answer.headers
            (row,) = gateway.requests()
            assert (row["error_code"], gateway.used(), gateway.reserved()) == ("connect_failed", 0, 0)


def test_a_private_server_with_another_key_refuses_and_that_is_our_fault(database_url: str) -> None:
    with running_gateway(database_url) as other, running_gateway(other.url, private_url=other.private.url) as gateway:
        answer = gateway.ask()
        assert (answer.status_code, answer.get_json()["error"]) == (502, "request_failed")
        assert other.private.seen.refused == {"signature_invalid": 1}
        assert other.private.seen.predictions == 0


def test_an_unsigned_answer_is_taken_where_the_policy_says_if_present(database_url: str) -> None:
    with running_gateway(database_url, verify=ResponseVerification.IF_PRESENT) as gateway:
        gateway.private.switches = Switches(Fault.UNSIGNED)
        assert gateway.ask().status_code == 200
        gateway.private.switches = Switches(Fault.BAD_SIGNATURE)
        assert gateway.ask().status_code == 502


def test_a_wrong_signature_is_taken_only_where_the_policy_is_off(database_url: str) -> None:
    with running_gateway(database_url, verify=ResponseVerification.OFF) as gateway:
        gateway.private.switches = Switches(Fault.BAD_SIGNATURE)
        assert gateway.ask().status_code == 200


HEADER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
REPLIES = [
    (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "reply_malformed"),
    (b"HTTP/2 200 OK\r\n\r\n", "reply_malformed"),
    (HEADER + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "reply_length_unclear"),
    (HEADER + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", "reply_length_unclear"),
    (HEADER + b"Content-Length: -2\r\n\r\n{}", "reply_length_unclear"),
    (HEADER + b"\r\n{}", "reply_length_unclear"),
    (HEADER + b"Content-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n\r\n", "reply_has_trailing_bytes"),
    (HEADER + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "reply_malformed"),
    (HEADER + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n", "reply_too_large"),
    (HEADER + b"Folded: a\r\n b\r\nContent-Length: 2\r\n\r\n{}", "reply_malformed"),
    (HEADER + b"Many: x\r\n" * 100 + b"\r\n", "reply_malformed"),
    (HEADER + b"Long: " + b"x" * 40_000, "reply_head_too_large"),
    (HEADER + b"Content-Length: 2\r\n\r\n[]", "result_not_an_object"),
    (HEADER + b"Content-Length: 2\r\n\r\n{}", "result_empty"),
    (HEADER + b'Content-Length: 15\r\n\r\n\xef\xbb\xbf{"answer":1}', "result_not_json"),
    (HEADER + b'Content-Length: 15\r\n\r\n{"answer": "\xff"}', "result_not_json"),
]


@pytest.mark.parametrize(
    ("reply", "reason"), REPLIES, ids=[f"{number}-{reason}" for number, (_, reason) in enumerate(REPLIES)]
)
def test_a_reply_that_is_not_well_formed_is_not_passed_on(database_url: str, reply: bytes, reason: str) -> None:
    with (
        replying_with(reply) as address,
        running_gateway(database_url, private_url=address, verify=ResponseVerification.OFF) as gateway,
    ):
        assert gateway.ask().status_code == 502
        (row,) = gateway.requests()
        assert (row["error_code"], gateway.used(), gateway.reserved()) == (reason, 0, 0)


GOOD = [
    HEADER + b'Content-Length: 12\r\n\r\n{"answer":1}',
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + HEADER + b'Content-Length: 12\r\n\r\n{"answer":1}',
    HEADER + b'Transfer-Encoding: chunked\r\n\r\n5;x=y\r\n{"ans\r\n7\r\nwer":1}\r\n0\r\nTrailer: x\r\n\r\n',
    HEADER + b'Content-Length: 54\r\n\r\n\n {"answer":1,"metadata":{"predictions_remaining":9}} ',
]


@pytest.mark.parametrize("reply", GOOD, ids=["length", "interim", "chunked", "own-metadata"])
def test_a_well_formed_reply_is_passed_on_with_our_metadata(database_url: str, reply: bytes) -> None:
    with (
        replying_with(reply) as address,
        running_gateway(database_url, private_url=address, verify=ResponseVerification.OFF) as gateway,
    ):
        answer = gateway.ask().get_json()
        assert answer["answer"] == 1
        assert set(answer) == {"answer", "metadata"}
        assert answer["metadata"]["predictions_remaining_today"] == 4


def test_numbers_are_passed_on_as_they_were_written(database_url: str) -> None:
    body = b'{"price":1.10,"large":123456789012345678901234567890}'
    reply = HEADER + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with (
        replying_with(reply) as address,
        running_gateway(database_url, private_url=address, verify=ResponseVerification.OFF) as gateway,
    ):
        assert gateway.ask().get_data().startswith(body[:-1])
