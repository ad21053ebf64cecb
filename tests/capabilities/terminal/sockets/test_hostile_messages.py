"""Messages that make no sense, and too many of them: a clear answer, and others are served"""

import json
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from sandbox.ssh_programs import Echo
from tests.capabilities.terminal.running_terminal import Customer
from tests.capabilities.terminal.sockets.conftest import PASSWORD, Open, ServerWith, profile_of

pytestmark = pytest.mark.slow

NOBODY = "019ad000-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("not JSON", 4400),
        ("[]", 4400),
        ('{"data": 1}', 4400),
        (b'{"type": "ping"}', 4400),
        (json.dumps({"type": "ping", "data": "x" * 200 * 1024}), 1009),
    ],
    ids=["not JSON", "no object", "no type", "binary", "too large"],
)
def test_what_is_no_message_ends_the_socket_and_no_session(
    alice: Customer, server_with: ServerWith, open_socket: Open, *, frame: str | bytes, code: int
) -> None:
    device = open_socket(alice)
    shell = device.connect(profile_of(alice, server_with(Echo())), answers=[PASSWORD])
    device.socket.send(frame)
    assert device.socket.closed() == code
    device = open_socket(alice)
    device.resume(shell)
    device.type(shell, "still here")
    device.reads(shell, "still here")


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("resize", {"rows": 0, "cols": 0}),
        ("resize", {"rows": 501, "cols": 80}),
        ("resize", {"rows": "24", "cols": 80}),
        ("resize", {"rows": 24.5, "cols": 80}),
        ("resize", {"rows": True, "cols": 80}),
        ("resize", None),
        ("input", None),
        ("input", {"text": "ls"}),
        ("input", "x" * 65537),
        ("resume", {"after_seq": -1}),
        ("resume", {"after_seq": 10**15}),
        ("ack", {"seq": "7"}),
        ("answer", {"text": "an answer that nobody asked for"}),
        ("accept_host_key", {"fingerprint": "SHA256:x"}),
        ("unheard_of", {}),
    ],
)
def test_what_makes_no_sense_is_told_and_nothing_else_happens(
    alice: Customer, server_with: ServerWith, open_socket: Open, *, kind: str, data: Any
) -> None:
    program = Echo()
    device = open_socket(alice)
    shell = device.connect(profile_of(alice, server_with(program)), answers=[PASSWORD])
    device.send(kind, session_id=shell.id, data=data)
    told = device.hears("error")
    assert told["session_id"] == shell.id
    assert told["data"]["retryable"] is False
    device.type(shell, "still here")
    device.reads(shell, "still here")
    assert program.sizes == [(24, 80)]
    assert program.typed == b"still here"


@pytest.mark.parametrize("session_id", [NOBODY, "", "x" * 100, 7, None, ["a"]], ids=repr)
def test_what_names_no_session_of_ours(alice: Customer, open_socket: Open, session_id: object) -> None:
    device = open_socket(alice)
    device.send("input", session_id=session_id, data="ls\r", input_seq=1)
    assert device.hears("error")["data"]["retryable"] is False


def test_members_that_nobody_knows_are_ignored(alice: Customer, server_with: ServerWith, open_socket: Open) -> None:
    device = open_socket(alice)
    shell = device.connect(profile_of(alice, server_with(Echo())), answers=[PASSWORD])
    device.send("input", session_id=shell.id, data="a", of_next_year={"x": 1})
    device.send("resize", session_id=shell.id, data={"rows": 25, "cols": 80, "pixels": 9})
    device.reads(shell, "a")


def test_ten_thousand_messages_at_once(
    alice: Customer, bob: Customer, server_with: ServerWith, open_socket: Open
) -> None:
    bystander = open_socket(bob)
    echo = bystander.connect(profile_of(bob, server_with(Echo())), answers=[PASSWORD])
    flood = open_socket(alice)
    with suppress(ConnectionClosed):
        for _ in range(10_000):
            flood.send("ping")
    assert flood.socket.closed() in {4429, 1006}
    bystander.type(echo, "still here")
    bystander.reads(echo, "still here")
