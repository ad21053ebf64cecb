"""How sessions end, and what their devices and the list say of it"""

from typing import Any

import pytest

from sandbox.ssh_programs import Echo, Exit
from tests.capabilities.terminal.running_terminal import SESSIONS, Customer
from tests.capabilities.terminal.sockets.conftest import PASSWORD, Open, ServerWith, profile_of
from tests.metering.limit_backends import eventually

pytestmark = pytest.mark.slow

LOST_SECONDS = 45
AT_ONCE_SECONDS = 2.0


def ended_as(customer: Customer, session_id: str) -> tuple[str, int | None]:
    """What the list says, once it says so."""

    def closed() -> dict[str, Any] | None:
        row: dict[str, Any] = customer.call("GET", f"{SESSIONS}/{session_id}").get_json()
        return row if row["state"] == "closed" else None

    row = eventually(closed)
    return row["close_reason"], row["exit_status"]


@pytest.mark.parametrize(
    ("program", "status", "signal"), [(Exit(0), 0, None), (Exit(3), 3, None), (Exit(signal="KILL"), None, "KILL")]
)
def test_a_program_that_ends(
    alice: Customer,
    server_with: ServerWith,
    open_socket: Open,
    *,
    program: Exit,
    status: int | None,
    signal: str | None,
) -> None:
    device = open_socket(alice)
    shell = device.connect(profile_of(alice, server_with(program)), answers=[PASSWORD])
    device.type(shell, "q")
    told = device.hears("closed", shell=shell)["data"]
    assert (told["reason"], told["exit_status"], told["signal"]) == ("exit", status, signal)
    assert ended_as(alice, shell.id) == ("exit", status)


def test_a_server_that_hangs_up(alice: Customer, server_with: ServerWith, open_socket: Open) -> None:
    server = server_with(Echo())
    device = open_socket(alice)
    shell = device.connect(profile_of(alice, server), answers=[PASSWORD])
    server.hang_up()
    assert device.hears("closed", shell=shell)["data"]["reason"] == "host_lost"
    assert ended_as(alice, shell.id) == ("host_lost", None)


def test_a_server_that_says_nothing_any_more(alice: Customer, server_with: ServerWith, open_socket: Open) -> None:
    """Asked every second here, and every 15 if the profile does not say otherwise: three times without an answer."""
    server = server_with(Echo())
    profile_id = profile_of(alice, server)
    assert (
        alice.call("GET", f"/api/terminal/ssh/profiles/{profile_id}").get_json()["keepalive_seconds"] * 3
        <= LOST_SECONDS
    )
    alice.running.rows("UPDATE ssh_profiles SET keepalive_seconds = 1 WHERE id = %s", profile_id)
    device = open_socket(alice)
    shell = device.connect(profile_id, answers=[PASSWORD])
    server.stop_answering()
    assert device.hears("closed", shell=shell, seconds=LOST_SECONDS)["data"]["reason"] == "host_lost"
    assert ended_as(alice, shell.id) == ("host_lost", None)


def test_a_client_that_ends_it(alice: Customer, server_with: ServerWith, open_socket: Open) -> None:
    device = open_socket(alice)
    shell = device.connect(profile_of(alice, server_with(Echo())), answers=[PASSWORD])
    device.send("disconnect", session_id=shell.id)
    assert device.hears("closed", shell=shell)["data"]["reason"] == "client"
    assert ended_as(alice, shell.id) == ("client", None)


def test_a_call_that_ends_it(alice: Customer, server_with: ServerWith, open_socket: Open) -> None:
    device = open_socket(alice)
    shell = device.connect(profile_of(alice, server_with(Echo())), answers=[PASSWORD])
    assert alice.call("DELETE", f"{SESSIONS}/{shell.id}").status_code == 204
    assert device.hears("closed", shell=shell, seconds=AT_ONCE_SECONDS)["data"]["reason"] == "client"


def test_one_that_was_detached_is_found_again(alice: Customer, server_with: ServerWith, open_socket: Open) -> None:
    device = open_socket(alice)
    shell = device.connect(profile_of(alice, server_with(Echo())), answers=[PASSWORD])
    device.send("detach", session_id=shell.id)
    eventually(lambda: alice.terminal_sessions()[0]["state"] == "detached")
    assert device.resume(shell)["data"] == {"from_seq": 0, "input_seq": 0, "missed": 0}
    device.type(shell, "here again")
    device.reads(shell, "here again")
    eventually(lambda: alice.terminal_sessions()[0]["state"] == "active")


def test_another_socket_takes_it_over(alice: Customer, server_with: ServerWith, open_socket: Open) -> None:
    first, second = open_socket(alice), open_socket(alice)
    shell = first.connect(profile_of(alice, server_with(Echo())), answers=[PASSWORD])
    first.type(shell, "one ")
    first.reads(shell, "one ")
    second.take_over(shell)
    first.hears("detached", shell=shell)
    second.type(shell, "two ")
    second.reads(shell, "one two ")
    first.send("input", session_id=shell.id, data="three", input_seq=3)
    assert first.hears("error", shell=shell)["data"]["retryable"] is False
    second.type(shell, "four")
    second.reads(shell, "one two four")


def test_whoever_is_told_of_the_end_may_open_another_at_once(
    bob: Customer, server_with: ServerWith, open_socket: Open
) -> None:
    """His plan has one session."""
    profile_id = profile_of(bob, server_with(Echo()))
    device = open_socket(bob)
    for _ in range(6):
        shell = device.connect(profile_id, answers=[PASSWORD])
        device.send("disconnect", session_id=shell.id)
        assert device.hears("closed", shell=shell)["data"]["reason"] == "client"
