"""A name is resolved once, all its addresses are judged, and the connection goes to one of those"""

import asyncio
import time
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import pytest

from capabilities.terminal.assembly import destinations_of
from capabilities.terminal.models import SshAuth
from capabilities.terminal.ssh import destinations as module
from capabilities.terminal.ssh.account import Account
from capabilities.terminal.ssh.allowed_addresses import AllowedAddresses
from capabilities.terminal.ssh.connect import connect
from capabilities.terminal.ssh.destinations import Destination, DestinationRefused, Destinations, PortRefused
from capabilities.terminal.ssh.failures import HostKeyUnknown, Unreachable
from capabilities.terminal.ssh.host_name import Server
from config import load_settings
from tests.capabilities.terminal.conftest import StartServer
from tests.whole.environment import production_environment

PORTS = ((22, 22), (1024, 65_535))


class NameServer:
    """Answers each question with the next of its answers, and with the last one from then on."""

    def __init__(self, *answers: Sequence[str], seconds: float = 0) -> None:
        self.answers, self.seconds = list(answers), seconds
        self.asked: list[Server] = []

    def __call__(self, server: Server) -> Sequence[str]:
        self.asked.append(server)
        time.sleep(self.seconds)
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if not answer:
            raise OSError("the name has no address")
        return answer


def find(names: NameServer, *, port: int = 22, allowed: Sequence[str] = (), own: Sequence[Server] = ()) -> Destination:
    addresses = AllowedAddresses([ip_network(each) for each in allowed])
    return asyncio.run(Destinations(addresses, PORTS, own, resolve=names).find(Server("server.example.com", port)))


def test_a_name_is_resolved_once() -> None:
    names = NameServer(["8.8.8.8", "2606:4700::1111", "8.8.8.8"])
    found = find(names)
    assert found.addresses == (ip_address("8.8.8.8"), ip_address("2606:4700::1111"))
    assert names.asked == [Server("server.example.com", 22)]


@pytest.mark.parametrize("answer", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["8.8.8.8", "::ffff:10.0.0.1"], ["::1"]])
def test_one_address_that_is_closed_refuses_the_name(answer: Sequence[str]) -> None:
    with pytest.raises(DestinationRefused):
        find(NameServer(answer))


def test_addresses_beyond_those_that_are_tried_are_judged_too() -> None:
    with pytest.raises(DestinationRefused):
        find(NameServer([*(f"8.8.8.{number}" for number in range(20)), "10.0.0.1"]))


@pytest.mark.parametrize("answer", [[], ["no address"]])
def test_a_name_without_an_address_cannot_be_reached(answer: Sequence[str]) -> None:
    with pytest.raises(Unreachable):
        find(NameServer(answer))


def test_a_name_server_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESOLVE_SECONDS", 0.02)
    with pytest.raises(Unreachable):
        find(NameServer(["8.8.8.8"], seconds=0.1))


@pytest.mark.parametrize("port", [21, 23, 80, 443, 1023])
def test_ports_that_are_not_allowed_are_closed_before_anything_is_asked(port: int) -> None:
    names = NameServer(["8.8.8.8"])
    with pytest.raises(PortRefused):
        find(names, port=port)
    assert names.asked == []


def test_our_own_servers_stay_closed_on_their_port_alone() -> None:
    own = [Server("10.1.0.5", 5432), Server("10.1.0.6", 6379)]
    names = NameServer(["10.1.0.5"])
    with pytest.raises(DestinationRefused):
        find(names, port=5432, allowed=["10.1.0.0/16"], own=own)
    assert find(names, port=2222, allowed=["10.1.0.0/16"], own=own).addresses == (ip_address("10.1.0.5"),)


def test_our_own_servers_are_found_by_their_names() -> None:
    class Names(NameServer):
        def __call__(self, server: Server) -> Sequence[str]:
            return ["203.0.113.9", "8.8.4.4"] if server.host == "db.example.com" else ["64:ff9b::8.8.4.4"]

    with pytest.raises(DestinationRefused):
        find(Names(), port=5432, own=[Server("db.example.com", 5432)])
    assert find(Names(), port=5432).addresses == (ip_address("64:ff9b::8.8.4.4"),)


def test_an_own_server_stays_known_while_no_name_server_answers() -> None:
    class Names(NameServer):
        def __call__(self, server: Server) -> Sequence[str]:
            if server.host != "db.example.com":
                return ["8.8.4.4"]
            return super().__call__(server)

    places = Destinations(AllowedAddresses(), PORTS, [Server("db.example.com", 5432)], resolve=Names(["8.8.4.4"], []))
    for _ in range(2):
        with pytest.raises(DestinationRefused):
            asyncio.run(places.find(Server("server.example.com", 5432)))


@pytest.mark.parametrize("port", [5432, 5433, 6380, 8443])
def test_the_settings_name_our_own_servers(port: int) -> None:
    environ = production_environment(
        "postgresql://app@10.1.0.5/app", "https://10.1.0.5:8443", "rediss://10.1.0.5:6380/0"
    )
    environ |= {
        "CAPABILITIES": "predict,terminal",
        "DATABASE_DIRECT_URL": "postgresql://app@10.1.0.5:5433/app",
        "TERMINAL_ALLOWED_NETWORKS": "10.1.0.0/16",
    }
    places = destinations_of(load_settings(environ))  # type: ignore[arg-type]
    with pytest.raises(DestinationRefused):
        asyncio.run(places.find(Server("10.1.0.5", port)))
    assert asyncio.run(places.find(Server("10.1.0.5", 22))).addresses


def test_a_name_that_moves_after_it_was_judged_leads_nowhere_else(start_server: StartServer) -> None:
    """DNS rebinding: the second answer would be an address that is closed."""
    meant = start_server()
    inside = start_server("127.0.0.2", meant.port)
    names = NameServer(["127.0.0.1"], ["127.0.0.2"])
    addresses = AllowedAddresses([ip_network("127.0.0.1/32")])
    places = Destinations(addresses, PORTS, resolve=names)

    async def go() -> None:
        destination = await places.find(Server("server.example.com", meant.port))
        await connect(Account(destination, "deploy", SshAuth.PASSWORD, ()), NOTHING, seconds=5)

    with pytest.raises(HostKeyUnknown) as shown:
        asyncio.run(go())
    assert shown.value.host_key.fingerprint == meant.fingerprint
    assert (meant.connections, inside.connections, len(names.asked)) == (1, 0, 1)


class Nothing:
    async def private_key(self) -> None:
        return None

    async def password(self) -> None:
        return None

    async def answers(self, name: str, instructions: str, prompts: Sequence[tuple[str, bool]]) -> None:
        return None


NOTHING = Nothing()
