"""The reference server as a test double: its switches, and what it tells of what it saw."""

import gzip
import http.client
import json
import socket
from contextlib import closing
from typing import Any

import pytest

from examples.private_server.mirror_verifier import Keys
from examples.private_server.server import PrivateServer
from examples.private_server.switches import Fault, Switches, SwitchesInvalid
from security.request_signer import (
    ResponseNotSigned,
    ResponseNotTrusted,
)
from tests.examples.ask import QUESTION, SECRET, ask, call, connect, signed, wait_until_seen


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
def test_switches_that_make_no_sense_are_refused_and_change_nothing(server: PrivateServer, document: Any) -> None:
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
    with pytest.raises(ResponseNotTrusted, match="response_signature_invalid"):
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
