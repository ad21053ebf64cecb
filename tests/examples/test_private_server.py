"""The reference prediction server over real connections, asked by the gateway's signer."""

import gzip
import http.client
import json
import logging
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from examples.private_server.mirror_verifier import Keys
from examples.private_server.server import PrivateServer
from examples.private_server.switches import Fault, Switches, SwitchesInvalid
from security.request_signer import (
    CallContext,
    ResponseNotSigned,
    ResponseSignatureInvalid,
    SignedRequest,
    sign_request,
    verify_response,
)
from security.signing_keys import KeyRing, SigningKey

SECRET = secrets.token_bytes(32)
RING = KeyRing((SigningKey("k1", SECRET),))
QUESTION = {
    "goal": "Run a marathon in under 4 hours",
    "timeframe": "6 months",
    "context": "I already train weekly",
    "options": {"enhanced_grounding": False, "confidence_level": "medium"},
}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    nonce: str

    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)

    def verify(self) -> None:
        """Raises when the answer is not the private server's."""
        verify_response(
            RING,
            nonce=self.nonce,
            status=self.status,
            headers=self.headers,
            body=self.body,
            now=datetime.now(UTC),
        )


@pytest.fixture(scope="module")
def running() -> Iterator[PrivateServer]:
    with PrivateServer(Keys({"k1": SECRET}), test_switches=True) as started:
        yield started


@pytest.fixture
def server(running: PrivateServer) -> PrivateServer:
    running.switches = Switches()
    running.forget()
    return running


@pytest.fixture
def own_server() -> Iterator[PrivateServer]:
    """For tests that stop it, or that count what is in flight."""
    with PrivateServer(Keys({"k1": SECRET}), test_switches=True) as started:
        yield started


def connect(server: PrivateServer, timeout: float = 10) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=timeout)


def signed(
    body: bytes, *, method: str = "POST", target: str = "/predict", request_id: str = "req-1"
) -> SignedRequest:
    return sign_request(
        RING,
        method=method,
        target=target,
        body=body,
        content_type="application/json",
        context=CallContext(request_id, "alice", "pro", 30_000).encoded(),
        now=datetime.now(UTC),
    )


def ask(
    server: PrivateServer,
    question: Any = None,
    *,
    method: str = "POST",
    target: str = "/predict",
    timeout: float = 10,
    request: SignedRequest | None = None,
    connection: http.client.HTTPConnection | None = None,
) -> Reply:
    body = (
        question
        if isinstance(question, bytes)
        else json.dumps(QUESTION if question is None else question).encode()
    )
    request = request or signed(body, method=method, target=target)
    with closing(connection or connect(server, timeout)) as used:
        used.request(method, target, body, request.headers)
        response = used.getresponse()
        return Reply(response.status, response.getheaders(), response.read(), request.nonce)


def call(server: PrivateServer, method: str, path: str, document: Any = None) -> tuple[int, bytes]:
    """Without a signature."""
    with closing(connect(server)) as connection:
        connection.request(method, path, None if document is None else json.dumps(document))
        response = connection.getresponse()
        return response.status, response.read()


def test_a_signed_question_gets_a_signed_baseline(server: PrivateServer) -> None:
    reply = ask(server)
    reply.verify()
    assert reply.status == 200
    answer = reply.json()
    assert (answer["kind"], answer["model"]) == ("baseline", "reference-baseline-1")
    assert answer["prediction"]["low"] < answer["prediction"]["probability"] < answer["prediction"]["high"]
    assert server.seen.predictions == 1
    assert server.seen.request_ids == ["req-1"]


def test_one_connection_serves_many_questions(server: PrivateServer) -> None:
    body = json.dumps(QUESTION).encode()
    with closing(connect(server)) as connection:
        connection.connect()
        kept = connection.sock
        for _ in range(3):
            connection.request("POST", "/predict", body, signed(body).headers)
            response = connection.getresponse()
            response.read()
            assert response.status == 200
        assert connection.sock is kept


def test_an_unsigned_question_is_refused(server: PrivateServer) -> None:
    status, body = call(server, "POST", "/predict", QUESTION)
    assert (status, json.loads(body)["code"]) == (401, "signature_missing")
    assert server.seen.refused == {"signature_missing": 1}
    assert server.seen.predictions == 0


def test_a_replayed_question_is_refused(server: PrivateServer) -> None:
    body = json.dumps(QUESTION).encode()
    request = signed(body)
    assert ask(server, body, request=request).status == 200
    reply = ask(server, body, request=request)
    assert (reply.status, reply.json()["code"]) == (401, "replayed")
    assert server.seen.predictions == 1


def test_an_altered_question_is_refused(server: PrivateServer) -> None:
    request = signed(json.dumps(QUESTION).encode())
    reply = ask(server, QUESTION | {"goal": "Run a marathon in under 3 hours"}, request=request)
    assert (reply.status, reply.json()["code"]) == (401, "digest_mismatch")


def test_a_question_from_an_old_clock_is_refused() -> None:
    late = datetime.now(UTC).timestamp() + 400
    with PrivateServer(Keys({"k1": SECRET}), clock=lambda: late) as server:
        reply = ask(server)
    assert (reply.status, reply.json()["code"], reply.json()["server_time"]) == (401, "clock_skew", int(late))


def test_a_header_that_was_sent_twice_is_refused(server: PrivateServer) -> None:
    body = json.dumps(QUESTION).encode()
    request = signed(body)
    with closing(connect(server)) as connection:
        connection.putrequest("POST", "/predict")
        for name, value in [*request.headers.items(), ("x-mirror-nonce", request.nonce)]:
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["code"]) == (401, "signature_malformed")


def test_a_body_over_the_limit_is_refused_before_it_is_read(server: PrivateServer) -> None:
    with closing(connect(server)) as connection:
        connection.putrequest("POST", "/predict")
        connection.putheader("Content-Length", str(1024 * 1024 + 1))
        connection.endheaders()
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Transfer-Encoding: chunked", 411),
        ("Content-Length: -1", 400),
        ("Content-Length: 1\r\nContent-Length: 1", 400),
        ("Content-Length: \u00b2", 400),
        ("Content-Length: " + "9" * 5000, 413),
    ],
)
def test_a_body_without_a_clear_length_is_refused(server: PrivateServer, headers: str, status: int) -> None:
    with closing(connect(server)) as connection:
        connection.connect()
        connection.sock.sendall(f"POST /predict HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n".encode("latin-1"))
        response = http.client.HTTPResponse(connection.sock)
        response.begin()
        response.read()
        assert response.status == status


@pytest.mark.parametrize(
    "request_line", ["nonsense", "PUT /predict HTTP/1.1", "GET /" + "a" * 70_000 + " HTTP/1.1"]
)
def test_what_is_no_request_gets_a_problem_and_not_html(server: PrivateServer, request_line: str) -> None:
    with closing(connect(server)) as connection:
        connection.connect()
        connection.sock.sendall(f"{request_line}\r\nHost: a\r\n\r\n".encode())
        answer = connection.sock.makefile("rb").read()
    assert b"application/problem+json" in answer
    assert b"html" not in answer.lower()
    assert b"server:" not in answer.lower()


@pytest.mark.parametrize(
    ("question", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b"\xff", 400, "malformed_json"),
        (b"[" * 100_000, 400, "malformed_json"),
        (b'{"goal": NaN}', 400, "malformed_json"),
        ([], 422, "validation_failed"),
        ({}, 422, "validation_failed"),
        ({"goal": "  "}, 422, "validation_failed"),
        ({"goal": 5}, 422, "validation_failed"),
        ({"goal": "g" * 10_001}, 422, "validation_failed"),
        ({"goal": "swim", "options": []}, 422, "validation_failed"),
        ({"goal": "swim", "options": {"confidence_level": "total"}}, 422, "validation_failed"),
        ({"goal": "swim", "options": {"confidence_level": ["low"]}}, 422, "validation_failed"),
        ({"goal": "swim", "options": {"enhanced_grounding": 1}}, 422, "validation_failed"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_signed_question_that_makes_no_sense_gets_a_signed_problem(
    server: PrivateServer, question: Any, status: int, code: str
) -> None:
    reply = ask(server, question)
    reply.verify()
    assert (reply.status, reply.json()["code"]) == (status, code)


def test_members_that_a_newer_gateway_sends_are_left_alone(server: PrivateServer) -> None:
    assert ask(server, QUESTION | {"locale": "de", "options": {"temperature": 1}}).status == 200


def test_an_address_that_is_not_there_is_signed_not_found(server: PrivateServer) -> None:
    reply = ask(server, target="/other")
    reply.verify()
    assert reply.status == 404


def test_a_stranger_does_not_learn_which_addresses_exist(server: PrivateServer) -> None:
    assert call(server, "GET", "/other") == call(server, "GET", "/predict")


def test_a_wrong_method_is_told_the_right_one(server: PrivateServer) -> None:
    reply = ask(server, b"", method="GET")
    reply.verify()
    assert (reply.status, reply.header("Allow")) == (405, "POST")


def test_health_is_open_to_anyone(server: PrivateServer) -> None:
    status, body = call(server, "GET", "/health")
    assert (status, json.loads(body)["status"]) == (200, "ok")
    assert server.seen.health_checks == 1
    assert server.seen.predictions == 0


def test_a_signed_health_check_gets_a_signed_answer(server: PrivateServer) -> None:
    reply = ask(server, b"", method="GET", target="/health")
    reply.verify()
    assert reply.status == 200


def test_a_wrongly_signed_health_check_is_refused(server: PrivateServer) -> None:
    request = signed(b"", method="GET", target="/other")
    assert ask(server, b"", method="GET", target="/health", request=request).status == 401


def test_nothing_of_a_request_is_written_to_the_log(
    server: PrivateServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    canary = secrets.token_hex(8)
    request = signed(b"{}", request_id=canary)
    ask(server, QUESTION | {"goal": canary})
    ask(server, QUESTION | {"goal": canary}, request=request)
    assert "digest_mismatch" in caplog.text
    for secret in (
        canary,
        request.headers["X-Mirror-Context"],
        request.headers["X-Mirror-Signature"],
        repr(SECRET),
    ):
        assert secret not in caplog.text


# The switches


def test_without_the_flag_the_switches_do_not_exist() -> None:
    with PrivateServer(Keys({"k1": SECRET})) as server:
        assert call(server, "POST", "/_switches", {"fault": "status"})[0] == 401
        assert call(server, "GET", "/_seen")[0] == 401
        assert ask(server, target="/_seen", method="GET", question=b"").status == 404
        assert ask(server).status == 200
        assert server.seen.request_ids == []


def test_the_switches_are_set_over_http(server: PrivateServer) -> None:
    assert call(server, "POST", "/_switches", {"fault": "status", "status": 429, "retry_after": 7})[0] == 204
    reply = ask(server)
    reply.verify()
    assert (reply.status, reply.header("Retry-After")) == (429, "7")
    assert call(server, "POST", "/_switches", {})[0] == 204
    assert ask(server).status == 200


def test_what_was_seen_is_told_and_forgotten_over_http(server: PrivateServer) -> None:
    ask(server)
    call(server, "POST", "/predict", QUESTION)
    seen = json.loads(call(server, "GET", "/_seen")[1])
    assert (seen["predictions"], seen["request_ids"]) == (1, ["req-1"])
    assert seen["refused"] == {"signature_missing": 1}
    assert call(server, "DELETE", "/_seen")[0] == 204
    assert server.seen.predictions == 0


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"unknown": 1},
        {"fault": "nothing like it"},
        {"fault": []},
        {"delay_seconds": -1},
        {"delay_seconds": True},
        {"delay_seconds": "1"},
        {"status": 200},
        {"status": 429.0},
        {"retry_after": "7"},
    ],
    ids=str,
)
def test_switches_that_make_no_sense_are_refused_and_change_nothing(
    server: PrivateServer, document: Any
) -> None:
    with pytest.raises(SwitchesInvalid):
        Switches.from_json(document)
    assert call(server, "POST", "/_switches", document)[0] == 422
    assert server.switches == Switches()


@pytest.mark.parametrize("status", [400, 401, 403, 422, 429, 499, 500, 503])
def test_an_error_status_is_answered_when_it_is_switched_on(server: PrivateServer, status: int) -> None:
    server.switches = Switches(Fault.STATUS, status=status)
    reply = ask(server)
    reply.verify()
    assert reply.status == status
    assert server.seen.predictions == 1


@pytest.mark.parametrize(
    "fault",
    [Fault.BAD_SIGNATURE, Fault.OTHER_NONCE, Fault.REFLECTED, Fault.STATUS_CHANGED, Fault.BODY_CHANGED],
)
def test_a_forged_answer_is_noticed(server: PrivateServer, fault: Fault) -> None:
    server.switches = Switches(fault)
    with pytest.raises(ResponseSignatureInvalid):
        ask(server).verify()


def test_an_unsigned_answer_is_noticed(server: PrivateServer) -> None:
    server.switches = Switches(Fault.UNSIGNED)
    with pytest.raises(ResponseNotSigned):
        ask(server).verify()


@pytest.mark.parametrize("fault", [Fault.NOT_JSON, Fault.NAN, Fault.HTML])
def test_a_signed_answer_may_be_garbage(server: PrivateServer, fault: Fault) -> None:
    server.switches = Switches(fault)
    reply = ask(server)
    reply.verify()

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    with pytest.raises(ValueError, match=r"Expecting|NaN"):
        json.loads(reply.body, parse_constant=refuse)


def test_a_huge_answer_is_sent(server: PrivateServer) -> None:
    server.switches = Switches(Fault.HUGE)
    assert len(ask(server).body) > 5_000_000


def test_a_small_answer_that_unpacks_to_a_large_one_is_sent(server: PrivateServer) -> None:
    server.switches = Switches(Fault.GZIP)
    reply = ask(server)
    assert reply.header("Content-Encoding") == "gzip"
    assert len(reply.body) < 100_000
    assert len(gzip.decompress(reply.body)) > 20_000_000


def test_a_redirect_is_sent(server: PrivateServer) -> None:
    server.switches = Switches(Fault.REDIRECT)
    reply = ask(server)
    assert (reply.status, reply.header("Location")) == (307, f"{server.url}/health")


def test_a_connection_may_close_before_the_answer(server: PrivateServer) -> None:
    server.switches = Switches(Fault.CLOSE)
    with pytest.raises(http.client.RemoteDisconnected):
        ask(server)


def test_an_answer_may_be_cut_short(server: PrivateServer) -> None:
    server.switches = Switches(Fault.BODY_CUT)
    with pytest.raises(http.client.IncompleteRead):
        ask(server)


def test_an_answer_may_trickle(server: PrivateServer) -> None:
    server.switches = Switches(Fault.TRICKLE)
    body = json.dumps(QUESTION).encode()
    with closing(connect(server, timeout=0.3)) as connection:
        connection.request("POST", "/predict", body, signed(body).headers)
        response = connection.getresponse()
        assert response.status == 200
        assert response.read(1) == b"{"
        with pytest.raises(TimeoutError):
            response.read(1)


def test_a_delayed_answer_is_good_after_all(server: PrivateServer) -> None:
    server.switches = Switches(delay_seconds=0.05)
    reply = ask(server)
    reply.verify()
    assert reply.status == 200


def wait_until_seen(server: PrivateServer, predictions: int) -> None:
    tick = threading.Event()
    for _ in range(1000):
        if server.seen.predictions == predictions:
            return
        tick.wait(0.01)
    pytest.fail(f"only {server.seen.predictions} of {predictions} arrived in 10 seconds")


def test_hundreds_of_requests_can_hang_while_health_answers(own_server: PrivateServer) -> None:
    own_server.switches = Switches(Fault.HANG)
    body = json.dumps(QUESTION).encode()
    hanging = [connect(own_server) for _ in range(300)]
    for connection in hanging:
        connection.request("POST", "/predict", body, signed(body).headers)
    wait_until_seen(own_server, 300)
    assert own_server.seen.most_at_once == 300
    assert call(own_server, "GET", "/health")[0] == 200
    for connection in hanging:
        connection.close()


def test_stopping_ends_a_request_that_hangs(own_server: PrivateServer) -> None:
    own_server.switches = Switches(Fault.HANG)
    body = json.dumps(QUESTION).encode()
    with closing(connect(own_server)) as connection:
        connection.request("POST", "/predict", body, signed(body).headers)
        wait_until_seen(own_server, 1)
        own_server.stop()
        with pytest.raises(ConnectionError):
            connection.getresponse()


def test_a_stopped_server_no_longer_listens(own_server: PrivateServer) -> None:
    host, port = own_server.url.removeprefix("http://").split(":")
    own_server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=2)
