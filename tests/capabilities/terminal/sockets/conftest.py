"""A realtime process beside the application, and devices that connect to it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from sandbox.ssh_programs import Program
from sandbox.ssh_server import SshServer
from tests.capabilities.terminal.conftest import StartServer
from tests.capabilities.terminal.running_terminal import (
    KNOWN_HOSTS,
    SESSIONS,
    Customer,
    RunningTerminal,
    terminal_environment,
)
from tests.capabilities.terminal.terminal_client import TerminalClient
from tests.realtime.realtime_process import RealtimeProcess

PROGRAM = ("-m", "tests.capabilities.terminal.sockets.realtime_program")
PASSWORD = "right horse"

Open = Callable[..., TerminalClient]
ServerWith = Callable[[Program], SshServer]


@contextmanager
def realtime_process(running: RunningTerminal, folder: Path, **changes: str) -> Iterator[RealtimeProcess]:
    """Beside this application, with these settings changed. A call that would block its loop is an error there."""
    environ = terminal_environment(running.url, running.redis_url, BLOCKBUSTER="on", **changes)
    process = RealtimeProcess(environ, folder, *PROGRAM)
    try:
        process.start()
        yield process
    finally:
        process.stop()


@pytest.fixture(scope="session")
def realtime_of_session(
    terminal_of_session: RunningTerminal, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealtimeProcess]:
    with realtime_process(terminal_of_session, tmp_path_factory.mktemp("realtime")) as process:
        yield process
    assert "Traceback" not in process.output()


@pytest.fixture
def realtime(realtime_of_session: RealtimeProcess, running: RunningTerminal) -> RealtimeProcess:
    return realtime_of_session


@pytest.fixture
def server_with(start_server: StartServer) -> ServerWith:
    """A server where this program is run. The password is `PASSWORD`."""

    def start(program: Program) -> SshServer:
        server = start_server(password=PASSWORD)
        server.program = program
        return server

    return start


@pytest.fixture
def open_socket(realtime: RealtimeProcess) -> Iterator[Open]:
    """Closed in the end, with the sessions of whoever opened it."""
    with ExitStack() as at_end:

        def start(customer: Customer, **options: Any) -> TerminalClient:
            at_end.callback(end_sessions, customer)
            return at_end.enter_context(TerminalClient(realtime.url, customer.token, **options))

        yield start


def end_sessions(customer: Customer) -> None:
    for each in customer.terminal_sessions():
        if each["state"] != "closed":
            assert customer.call("DELETE", f"{SESSIONS}/{each['id']}").status_code == 204


def profile_of(customer: Customer, server: SshServer, **fields: Any) -> str:
    return str(customer.profile(port=server.port, **fields)["id"])


def known_hosts(customer: Customer) -> Any:
    return customer.call("GET", KNOWN_HOSTS).get_json()
