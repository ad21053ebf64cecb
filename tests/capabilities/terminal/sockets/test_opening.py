"""What happens between `connect` and `connected`: the server's key, what lets the user in, and what is refused"""

from collections.abc import Sequence

import pytest

from sandbox.open_ssh import OpenSsh
from sandbox.ssh_programs import Echo
from sandbox.ssh_server import USER, Manner
from tests.capabilities.terminal.conftest import StartServer
from tests.capabilities.terminal.key_files import PASSPHRASE, key_file
from tests.capabilities.terminal.running_terminal import SESSIONS, Customer
from tests.capabilities.terminal.sockets.conftest import PASSWORD, Open, ServerWith, known_hosts, profile_of
from tests.capabilities.terminal.terminal_client import Message, Refused, TerminalClient
from tests.metering.limit_backends import eventually

pytestmark = pytest.mark.slow


def refusal(device: TerminalClient, profile_id: str, answers: Sequence[str] = ()) -> Message:
    """Of an attempt to connect. What comes after it ends the session."""
    with pytest.raises(Refused) as refused:
        device.connect(profile_id, answers=answers)
    closed = device.hears("closed")
    assert closed["data"]["reason"] == "error"
    return refused.value.data


def test_a_real_shell(alice: Customer, sshd: OpenSsh, open_socket: Open) -> None:
    key = alice.add_key()
    sshd.let_in(key["public_key"])
    profile = alice.profile(port=sshd.port, username=sshd.user, auth="key", ssh_key_id=key["id"])
    device = open_socket(alice)
    shell = device.connect(profile["id"], rows=30, cols=100)
    device.type(shell, "stty size\r")
    device.reads(shell, "30 100")
    device.resize(shell, 24, 80)
    device.type(shell, "stty size; echo $TERM; ls -la /\r")
    device.reads(shell, "24 80")
    device.reads(shell, "xterm-256color")
    device.reads(shell, " ..\r\n")
    device.type(shell, "exit 7\r")
    assert device.hears("closed", shell=shell)["data"]["exit_status"] == 7


def test_the_host_key_is_shown_and_accepted_once(alice: Customer, server_with: ServerWith, open_socket: Open) -> None:
    server = server_with(Echo())
    profile_id = profile_of(alice, server)
    device = open_socket(alice)
    device.send("connect", data={"session_type": "ssh", "ssh_profile_id": profile_id})
    shown = device.hears("host_key")
    assert shown["data"] == {
        "host": "127.0.0.1",
        "port": server.port,
        "algorithm": "ssh-ed25519",
        "fingerprint": server.fingerprint,
        "status": "unknown",
    }
    assert server.users == []
    device.send("accept_host_key", session_id=shown["session_id"], data={"fingerprint": "SHA256:another"})
    assert device.hears("error")["data"]["retryable"] is False
    assert known_hosts(alice)["known_hosts"] == []
    device.send("accept_host_key", session_id=shown["session_id"], data={"fingerprint": server.fingerprint})
    asked = device.hears("prompt")
    assert (asked["data"]["kind"], asked["data"]["echo"]) == ("password", False)
    device.send("answer", session_id=shown["session_id"], data={"text": PASSWORD})
    assert device.hears("connected")["data"]["fingerprint"] == server.fingerprint
    assert [each["fingerprint"] for each in known_hosts(alice)["known_hosts"]] == [server.fingerprint]
    assert server.users == [USER]
    device.connect(profile_id, answers=[PASSWORD])


def test_a_changed_host_key_is_refused_and_what_was_accepted_stays(
    alice: Customer, server_with: ServerWith, open_socket: Open
) -> None:
    server = server_with(Echo())
    profile_id = profile_of(alice, server)
    device = open_socket(alice)
    device.connect(profile_id, answers=[PASSWORD])
    before, users = known_hosts(alice), list(server.users)
    server.change_key()
    device.send("connect", data={"session_type": "ssh", "ssh_profile_id": profile_id})
    shown = device.hears("host_key")["data"]
    assert (shown["status"], shown["fingerprint"]) == ("changed", server.fingerprint)
    assert device.hears("error")["data"]["code"] == "host_key_changed"
    assert device.hears("closed")["data"]["reason"] == "error"
    assert server.users == users
    assert known_hosts(alice) == before
    assert alice.events()[-1]["event"] == "ssh_host_key_changed"


@pytest.mark.parametrize("username", [USER, "nobody"])
def test_three_wrong_passwords(alice: Customer, server_with: ServerWith, open_socket: Open, username: str) -> None:
    """The same for a user whom the server does not know."""
    server = server_with(Echo())
    profile_id = profile_of(alice, server, username=username)
    told = refusal(open_socket(alice), profile_id, answers=["wrong"] * 3)
    assert (told["code"], told["message"]) == ("auth_failed", "The server did not let you in")
    assert server.users == [username]


def test_the_second_password_is_right(alice: Customer, server_with: ServerWith, open_socket: Open) -> None:
    open_socket(alice).connect(profile_of(alice, server_with(Echo())), answers=["wrong", PASSWORD])


def test_questions_are_asked_as_the_server_asks_them(
    alice: Customer, start_server: StartServer, open_socket: Open
) -> None:
    server = start_server(questions=[("Code: ", True), ("PIN: ", False)], answers=["123456", "0000"])
    server.program = Echo()
    device = open_socket(alice)
    device.send("connect", data={"session_type": "ssh", "ssh_profile_id": profile_of(alice, server, auth="keyboard")})
    shown = device.hears("host_key")
    device.send("accept_host_key", session_id=shown["session_id"], data={"fingerprint": server.fingerprint})
    for text, echo, answer in (("Code:", True, "123456"), ("PIN:", False, "0000")):
        asked = device.hears("prompt")["data"]
        assert (asked["kind"], asked["text"], asked["echo"]) == ("keyboard", text, echo)
        device.send("answer", session_id=shown["session_id"], data={"text": answer})
    device.hears("connected")


@pytest.mark.parametrize("answers", [[PASSPHRASE], ["wrong", PASSPHRASE]])
def test_a_key_is_opened_by_its_passphrase(
    alice: Customer, start_server: StartServer, open_socket: Open, answers: list[str]
) -> None:
    key = alice.add_key(name="laptop", private_key=key_file(passphrase=PASSPHRASE))
    server = start_server(keys=[key["public_key"]])
    server.program = Echo()
    open_socket(alice).connect(profile_of(alice, server, auth="key", ssh_key_id=key["id"]), answers=answers)


@pytest.mark.parametrize("manner", [Manner.HANG_UP, Manner.GARBAGE])
def test_what_is_no_ssh_server(alice: Customer, server_with: ServerWith, open_socket: Open, manner: Manner) -> None:
    server = server_with(Echo())
    server.manner = manner
    assert refusal(open_socket(alice), profile_of(alice, server))["code"] == "unreachable"


def test_a_socket_that_goes_before_it_is_connected_takes_the_session_with_it(
    alice: Customer, server_with: ServerWith, open_socket: Open
) -> None:
    server = server_with(Echo())
    device = open_socket(alice)
    device.send("connect", data={"session_type": "ssh", "ssh_profile_id": profile_of(alice, server)})
    device.hears("host_key")
    device.socket.cut()
    eventually(lambda: alice.terminal_sessions()[0]["state"] == "closed")
    assert known_hosts(alice)["known_hosts"] == []


def test_one_that_was_asked_for_before_is_connected_once(
    alice: Customer, server_with: ServerWith, open_socket: Open
) -> None:
    program = Echo()
    body = {"session_type": "ssh", "ssh_profile_id": profile_of(alice, server_with(program)), "rows": 40, "cols": 132}
    made = alice.call("POST", SESSIONS, body).get_json()
    assert (made["state"], made["ws_url"][-12:]) == ("created", "/ws/terminal")
    shell = open_socket(alice).connect(session_id=made["id"], answers=[PASSWORD])
    assert shell.id == made["id"]
    assert program.sizes == [(40, 132)]
    assert program.terminal_types == ["xterm-256color"]


def test_a_plan_has_so_many_sessions_at_once(bob: Customer, server_with: ServerWith, open_socket: Open) -> None:
    """Bob's has one."""
    profile_id = profile_of(bob, server_with(Echo()))
    device = open_socket(bob)
    shell = device.connect(profile_id, answers=[PASSWORD])
    device.send("connect", data={"session_type": "ssh", "ssh_profile_id": profile_id})
    told = device.hears("error")["data"]
    assert (told["code"], told["retryable"]) == ("too_many_sessions", False)
    device.type(shell, "still here")
    device.reads(shell, "still here")
    device.send("disconnect", session_id=shell.id)
    device.hears("closed", shell=shell)
    eventually(lambda: bob.terminal_sessions()[0]["state"] == "closed")
    device.connect(profile_id, answers=[PASSWORD])


def test_no_shell_on_our_own_server(alice: Customer, open_socket: Open) -> None:
    device = open_socket(alice)
    device.send("connect", data={"session_type": "local"})
    assert device.hears("error")["data"]["code"] == "local_terminal_off"
    assert alice.terminal_sessions() == []


def test_somebody_else_has_no_part_in_it(
    alice: Customer, bob: Customer, server_with: ServerWith, open_socket: Open
) -> None:
    device = open_socket(alice)
    profile_id = profile_of(alice, server_with(Echo()))
    shell = device.connect(profile_id, answers=[PASSWORD])
    for message in (
        {"kind": "connect"},
        {"kind": "resume", "data": {"after_seq": 0}},
        {"kind": "input", "data": "rm -rf /\r", "input_seq": 1},
        {"kind": "resize", "data": {"rows": 1, "cols": 1}},
        {"kind": "disconnect"},
        {"kind": "detach"},
    ):
        other = open_socket(bob)
        other.send(session_id=shell.id, **message)
        told = other.hears("error")["data"]
        assert (told["code"], told["retryable"]) == ("session_unknown", False)
        assert other.socket.closed() == 4404
    other = open_socket(bob)
    other.send("connect", data={"session_type": "ssh", "ssh_profile_id": profile_id})
    assert other.hears("error")["data"]["retryable"] is False
    device.type(shell, "still mine")
    device.reads(shell, "still mine")
