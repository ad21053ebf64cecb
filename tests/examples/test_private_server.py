"""The reference prediction server over real connections, asked by the gateway's signer."""

import http.client
import json
import logging
import secrets
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from examples.private_server.mirror_verifier import Keys
from examples.private_server.server import PrivateServer
from tests.examples.ask import QUESTION, SECRET, ask, call, connect, signed


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


@pytest.mark.parametrize("request_line", ["nonsense", "PUT /predict HTTP/1.1", "GET /" + "a" * 70_000 + " HTTP/1.1"])
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


def test_nothing_of_a_request_is_written_to_the_log(server: PrivateServer, caplog: pytest.LogCaptureFixture) -> None:
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
