"""What happens to sessions when something that they stand on goes away"""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from websockets.exceptions import ConnectionClosed

from sandbox.ssh_programs import Echo, Ticker
from tests.capabilities.terminal.running_terminal import SESSIONS, Customer, RunningTerminal
from tests.capabilities.terminal.sockets.conftest import (
    PASSWORD,
    Open,
    ServerWith,
    end_sessions,
    profile_of,
    realtime_process,
)
from tests.capabilities.terminal.sockets.relay import Relay
from tests.capabilities.terminal.terminal_client import Refused, TerminalClient
from tests.metering.limit_backends import eventually
from tests.realtime.realtime_process import RealtimeProcess

pytestmark = pytest.mark.slow

AT_ONCE_SECONDS = 2.0
REVOKED = 4401


@dataclass(frozen=True)
class Failing:
    """A realtime process that may be killed, and whose PostgreSQL and Redis can be gone."""

    process: RealtimeProcess
    postgres: Relay
    redis: Relay

    def open_socket(self, customer: Customer) -> TerminalClient:
        return TerminalClient(self.process.url, customer.token)


@pytest.fixture(scope="module")
def failing_of_module(
    terminal_of_session: RunningTerminal, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Failing]:
    running = terminal_of_session
    with Relay(running.url) as postgres, Relay(running.redis_url) as redis:
        changes = {"DATABASE_URL": postgres.url, "REDIS_URL": redis.url}
        with realtime_process(running, tmp_path_factory.mktemp("failing"), **changes) as process:
            yield Failing(process, postgres, redis)


@pytest.fixture
def failing(failing_of_module: Failing, alice: Customer) -> Iterator[Failing]:
    yield failing_of_module
    for each in (failing_of_module.postgres, failing_of_module.redis):
        each.mend()
    end_sessions(alice)


def test_without_postgres_open_sessions_go_on_and_no_new_one_is_opened(
    failing: Failing, alice: Customer, server_with: ServerWith
) -> None:
    profile_id = profile_of(alice, server_with(Echo()))
    with failing.open_socket(alice) as device:
        shell = device.connect(profile_id, answers=[PASSWORD])
        failing.postgres.cut()
        device.type(shell, "goes on")
        device.reads(shell, "goes on")
        with pytest.raises(Refused) as refused:
            device.connect(profile_id, answers=[PASSWORD])
        assert (refused.value.code, refused.value.data["retryable"]) == ("service_unavailable", True)
        device.send("detach", session_id=shell.id)  # nobody can write that down
        device.listen(2)
        device.resume(shell)
        device.type(shell, " and on")
        device.reads(shell, "goes on and on")
        failing.postgres.mend()
        _eventually_connects(device, profile_id)
        device.send("disconnect", session_id=shell.id)
        eventually(lambda: alice.call("GET", f"{SESSIONS}/{shell.id}").get_json()["close_reason"] == "client")


def test_without_redis_everything_goes_on(failing: Failing, alice: Customer, server_with: ServerWith) -> None:
    """Connections are counted in the process meanwhile."""
    profile_id = profile_of(alice, server_with(Echo()))
    with failing.open_socket(alice) as device:
        shell = device.connect(profile_id, answers=[PASSWORD])
        failing.redis.cut()
        device.type(shell, "goes on")
        device.reads(shell, "goes on")
        other = device.connect(profile_id, answers=[PASSWORD])
        device.type(other, "a new one")
        device.reads(other, "a new one")


def test_a_killed_realtime_process(failing: Failing, alice: Customer, server_with: ServerWith) -> None:
    """Its sessions have ended with it. The web process goes on, and the next realtime process says so."""
    profile_id = profile_of(alice, server_with(Ticker()))
    with failing.open_socket(alice) as device:
        shell = device.connect(profile_id, answers=[PASSWORD])
        device.reads(shell, "line 3")
        eventually(lambda: alice.terminal_sessions()[0]["state"] == "active")
        os.kill(failing.process.pid, signal.SIGKILL)
        with pytest.raises(ConnectionClosed):
            device.listen(10)
    assert alice.terminal_sessions()[0]["state"] == "active"
    made = alice.call("POST", SESSIONS, {"session_type": "ssh", "ssh_profile_id": profile_id})
    assert made.status_code == 201
    failing.process.stop()
    failing.process.start()
    with failing.open_socket(alice) as device:
        device.send("resume", session_id=shell.id, data={"after_seq": shell.seq})
        assert device.hears("closed")["data"]["reason"] == "server_restart"
        left = alice.call("GET", f"{SESSIONS}/{shell.id}").get_json()
        assert (left["state"], left["close_reason"]) == ("closed", "server_restart")
        device.connect(session_id=made.get_json()["id"], answers=[PASSWORD])


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
