"""No address of our own network is connected to from a socket, however it is written"""

import json
from collections.abc import Iterator
from contextlib import suppress

import pytest

from capabilities.terminal.ssh.host_name import canonical_host
from sandbox.ssh_server import SshServer
from tests.capabilities.terminal.conftest import StartServer
from tests.capabilities.terminal.running_terminal import Customer, RunningTerminal, connects_again
from tests.capabilities.terminal.sockets.conftest import realtime_process
from tests.capabilities.terminal.terminal_client import Refused, TerminalClient
from tests.capabilities.terminal.test_refused_destinations import FEW, MANY, NAMES
from tests.realtime.realtime_process import RealtimeProcess

pytestmark = pytest.mark.slow

REBOUND = "rebound.example.com"


def code_at(process: RealtimeProcess, customer: Customer, host: str, port: int) -> str:
    """Of a profile that was stored when the address was still allowed."""
    profile_id = customer.profile(port=port)["id"]
    customer.running.rows("UPDATE ssh_profiles SET host = %s WHERE id = %s", canonical_host(host), profile_id)
    connects_again(customer)
    with TerminalClient(process.url, customer.token) as device:
        with pytest.raises(Refused) as refused:
            device.connect(profile_id)
        assert device.hears("closed")["data"]["reason"] == "error"
        return refused.value.code


@pytest.fixture(scope="module")
def strict(terminal_of_session: RunningTerminal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealtimeProcess]:
    """A process with a name server. An address at which nobody listens is open, and no other of ours."""
    names = {name: [addresses] for name, addresses in NAMES.items()} | {REBOUND: [["127.0.0.2"], ["127.0.0.1"]]}
    folder = tmp_path_factory.mktemp("strict")
    changes = {"TERMINAL_ALLOWED_NETWORKS": "127.0.0.2/32", "NAMES": json.dumps(names)}
    with realtime_process(terminal_of_session, folder, **changes) as process:
        yield process


def test_no_address_of_ours_is_connected_to(
    alice: Customer, start_server: StartServer, strict: RealtimeProcess
) -> None:
    servers = loopback_servers(start_server)
    for host in dict.fromkeys((*FEW, *MANY)):
        alice.running.rows("DELETE FROM ssh_profiles WHERE user_id = %s", alice.id)
        assert code_at(strict, alice, host, servers[0].port) == "destination_refused", host
    assert [each.connections for each in servers] == [0] * len(servers)
    assert alice.events()[-1]["event"] == "ssh_destination_refused"


def test_a_name_that_leads_elsewhere_a_moment_later(
    alice: Customer, start_server: StartServer, strict: RealtimeProcess
) -> None:
    """What was checked is what is connected to."""
    servers = loopback_servers(start_server)
    assert code_at(strict, alice, REBOUND, servers[0].port) == "unreachable"
    assert code_at(strict, alice, REBOUND, servers[0].port) == "destination_refused"
    assert servers[0].connections == 0


def loopback_servers(start_server: StartServer) -> list[SshServer]:
    """On every loopback address, on one port."""
    servers = [start_server()]
    with suppress(OSError):  # where there is no IPv6
        servers.append(start_server("::1", servers[0].port))
    return servers
