"""What happens to sessions when something that they stand on goes away"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from websockets.exceptions import ConnectionClosed

from sandbox.ssh_programs import Echo, Ticker
from tests.capabilities.terminal.running_terminal import SESSIONS, Customer, RunningTerminal
from tests.capabilities.terminal.sockets.conftest import (
    PASSWORD,
    Open,
    ServerWith,
    StartRealtime,
    end_sessions,
    profile_of,
)
from tests.capabilities.terminal.sockets.relay import Relay
from tests.capabilities.terminal.terminal_client import Refused, TerminalClient
from tests.metering.limit_backends import eventually

pytestmark = pytest.mark.slow

AT_ONCE_SECONDS = 2.0
REVOKED = 4401


def test_a_killed_realtime_process(
    alice: Customer, server_with: ServerWith, start_realtime: StartRealtime, open_socket: Open
) -> None:
    """Its sessions have ended with it. The web process goes on, and the next realtime process says so."""
    process = start_realtime()
    server = server_with(Ticker())
    device = open_socket(alice, at=process)
    shell = device.connect(profile_of(alice, server), answers=[PASSWORD])
    device.reads(shell, "line 3")
    eventually(lambda: alice.terminal_sessions()[0]["state"] == "active")
    body = {"session_type": "ssh", "ssh_profile_id": alice.terminal_sessions()[0]["ssh_profile_id"]}
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(ConnectionClosed):
        device.listen(10)
    assert alice.terminal_sessions()[0]["state"] == "active"
    made = alice.call("POST", SESSIONS, body)
    assert made.status_code == 201
    process.start()
    device = open_socket(alice, at=process)
    device.send("resume", session_id=shell.id, data={"after_seq": shell.seq})
    assert device.hears("closed")["data"]["reason"] == "server_restart"
    left = alice.call("GET", f"{SESSIONS}/{shell.id}").get_json()
    assert (left["state"], left["close_reason"]) == ("closed", "server_restart")
    device.connect(session_id=made.get_json()["id"], answers=[PASSWORD])


@dataclass(frozen=True)
class Cut:
    """A socket of a realtime process whose PostgreSQL or Redis can be gone."""

    relay: Relay
    device: TerminalClient
    profile_id: str


CutOff = Callable[[str], Cut]


@pytest.fixture
def behind_relay(
    running: RunningTerminal, alice: Customer, server_with: ServerWith, start_realtime: StartRealtime
) -> Iterator[CutOff]:
    urls = {"DATABASE_URL": running.url, "REDIS_URL": running.redis_url}
    with ExitStack() as stack:

        def start(variable: str) -> Cut:
            relay = stack.enter_context(Relay(urls[variable]))
            process = start_realtime(**{variable: relay.url})
            stack.callback(end_sessions, alice)
            device = stack.enter_context(TerminalClient(process.url, alice.token))
            return Cut(relay, device, profile_of(alice, server_with(Echo())))

        yield start


def test_without_postgres_open_sessions_go_on_and_no_new_one_is_opened(behind_relay: CutOff, alice: Customer) -> None:
    cut = behind_relay("DATABASE_URL")
    device = cut.device
    shell = device.connect(cut.profile_id, answers=[PASSWORD])
    cut.relay.cut()
    device.type(shell, "goes on")
    device.reads(shell, "goes on")
    with pytest.raises(Refused) as refused:
        device.connect(cut.profile_id, answers=[PASSWORD])
    assert (refused.value.code, refused.value.data["retryable"]) == ("service_unavailable", True)
    device.send("detach", session_id=shell.id)  # nobody can write that down
    device.listen(2)
    device.resume(shell)
    device.type(shell, " and on")
    device.reads(shell, "goes on and on")
    cut.relay.mend()
    _eventually_connects(device, cut.profile_id)
    device.send("disconnect", session_id=shell.id)
    eventually(lambda: alice.call("GET", f"{SESSIONS}/{shell.id}").get_json()["close_reason"] == "client")


def test_without_redis_everything_goes_on(behind_relay: CutOff) -> None:
    """Connections are counted in the process meanwhile."""
    cut = behind_relay("REDIS_URL")
    device = cut.device
    shell = device.connect(cut.profile_id, answers=[PASSWORD])
    cut.relay.cut()
    device.type(shell, "goes on")
    device.reads(shell, "goes on")
    other = device.connect(cut.profile_id, answers=[PASSWORD])
    device.type(other, "a new one")
    device.reads(other, "a new one")


def _eventually_connects(device: TerminalClient, profile_id: str) -> None:
    until = time.monotonic() + 20
    while True:
        try:
            device.connect(profile_id, answers=[PASSWORD])
        except Refused as refused:
            assert refused.data["retryable"], refused
            assert time.monotonic() < until
            time.sleep(0.2)
        else:
            return


@pytest.mark.parametrize("attached", [True, False])
def test_a_revoked_sign_in_takes_its_sessions_with_it(
    running: RunningTerminal, server_with: ServerWith, open_socket: Open, attached: bool
) -> None:
    """Also those that no socket has. Those of another sign-in stay."""
    carol = running.register()
    server = server_with(Echo())
    profile_id = profile_of(carol, server)
    elsewhere = carol.signed_in_again()
    device, other = open_socket(carol), open_socket(elsewhere)
    shell = device.connect(profile_id, answers=[PASSWORD])
    kept = other.connect(profile_id, answers=[PASSWORD])
    if not attached:
        device.send("detach", session_id=shell.id)
        eventually(lambda: elsewhere.call("GET", f"{SESSIONS}/{shell.id}").get_json()["state"] == "detached")
    session_id = running.made.auth.access_tokens.verify(carol.token).session_id
    assert elsewhere.call("DELETE", f"/api/auth/sessions/{session_id}").status_code == 204
    assert device.socket.closed(AT_ONCE_SECONDS) == REVOKED

    def is_closed() -> bool:
        row = elsewhere.call("GET", f"{SESSIONS}/{shell.id}").get_json()
        return (row["state"], row["close_reason"]) == ("closed", "revoked")

    eventually(is_closed, seconds=AT_ONCE_SECONDS)
    other.type(kept, "still here")
    other.reads(kept, "still here")
    carol.token = elsewhere.token  # for those who tidy up
