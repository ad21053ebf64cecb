"""The terminal beside servers that it connects to."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from auth.tiers import Tier
from sandbox.open_ssh import OpenSsh, find_sshd
from sandbox.ssh_server import SshServer
from tests.capabilities.terminal.running_terminal import Customer, RunningTerminal, running_terminal
from tests.databases import MigratedDatabases

Start = Callable[..., RunningTerminal]
StartServer = Callable[..., SshServer]


@pytest.fixture(scope="session")
def terminal_of_session(migrated_databases: MigratedDatabases, valkey_server: str) -> Iterator[RunningTerminal]:
    with migrated_databases.one() as url, running_terminal(url, valkey_server) as running:
        yield running


@pytest.fixture(scope="session")
def alice_of_session(terminal_of_session: RunningTerminal) -> Customer:
    return terminal_of_session.register()


@pytest.fixture(scope="session")
def bob_of_session(terminal_of_session: RunningTerminal) -> Customer:
    return terminal_of_session.register(Tier.FREE)


@pytest.fixture
def running(terminal_of_session: RunningTerminal, valkey_client: redis.Redis) -> RunningTerminal:
    """Its database is shared by all tests of the terminal; nobody has connected within the last minute."""
    valkey_client.flushall()
    return terminal_of_session


@pytest.fixture
def alice(running: RunningTerminal, alice_of_session: Customer) -> Customer:
    """She has nothing yet."""
    return emptied(alice_of_session)


@pytest.fixture
def bob(running: RunningTerminal, bob_of_session: Customer) -> Customer:
    return emptied(bob_of_session)


def emptied(customer: Customer) -> Customer:
    of_ssh = ("ssh_profiles", "ssh_keys", "ssh_known_hosts", "ssh_seen_host_keys")
    tables = ("terminal_sessions", *of_ssh, "terminal_commands", "sync_items", "sync_heads")
    deletions = "; ".join(f"DELETE FROM {table} WHERE user_id = %s" for table in tables)
    customer.running.rows(deletions, *[customer.id] * len(tables))
    return customer


@pytest.fixture
def start(running: RunningTerminal, redis_url: str) -> Iterator[Start]:
    """Another process on the same database, with other settings."""
    with ExitStack() as started:
        yield lambda **changes: started.enter_context(running_terminal(running.url, redis_url, **changes))


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    with ExitStack() as started:

        def begin(address: str = "127.0.0.1", port: int = 0, **options: Any) -> SshServer:
            server = SshServer(**options)
            started.callback(server.stop)
            server.start(address, port)
            return server

        yield begin


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSsh]:
    if find_sshd() is None:
        pytest.skip("sshd is not installed")
    server = OpenSsh(tmp_path_factory.mktemp("sshd"))
    server.start()
    yield server
    server.stop()
