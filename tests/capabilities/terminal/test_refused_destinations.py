"""No address of our own network is connected to, however it is written (POST, PUT and test of profiles)"""

import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest

from capabilities.terminal.ssh.host_name import canonical_host
from sandbox.ssh_server import SshServer
from tests.capabilities.terminal.conftest import Start, StartServer
from tests.capabilities.terminal.running_terminal import PROFILES, Customer, connects_again, profile_body

getaddrinfo = socket.getaddrinfo

NAMES = {
    "inside.example.com": ["127.0.0.1"],
    "both.example.com": ["8.8.8.8", "127.0.0.1"],
    "mapped.example.com": ["::ffff:127.0.0.1"],
    "nat64.example.com": ["64:ff9b::7f00:1"],
    "loopback.example.com": ["127.0.0.1", "::1"],
}
FEW = ("127.0.0.1", "localhost", "[::1]", "0x7f000001", "169.254.169.254", "inside.example.com", "both.example.com")
MANY = (
    *NAMES,
    "LOCALHOST.",
    "::1",
    "2130706433",
    "127.1",
    "0177.0.0.1",
    "0.0.0.0",  # noqa: S104
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "10.0.0.1",
    "fd00:ec2::254",
)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server for `NAMES`."""

    def answer(host: Any, port: Any, *more: Any, **options: Any) -> Any:
        if host in NAMES:
            return [entry for each in NAMES[host] for entry in getaddrinfo(each, port, *more, **options)]
        return getaddrinfo(host, port, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answer)


class Inside:
    """Servers on every loopback address, on one port."""

    def __init__(self, servers: list[SshServer]) -> None:
        self.servers = servers
        self.port = servers[0].port

    def connections(self) -> int:
        return sum(each.connections for each in self.servers)


@pytest.fixture
def inside(start_server: StartServer) -> Inside:
    servers = [start_server()]
    with suppress(OSError):  # where there is no IPv6
        servers.append(start_server("::1", servers[0].port))
    return Inside(servers)


@pytest.fixture
def strict(alice: Customer, start: Start) -> Customer:
    """Alice where nothing is opened."""
    return alice.elsewhere(start(TERMINAL_ALLOWED_NETWORKS=""))


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("hosts", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_no_address_of_ours_is_connected_to(
    alice: Customer, strict: Customer, inside: Inside, hosts: Sequence[str]
) -> None:
    profile_id = alice.profile(port=inside.port)["id"]
    for host in hosts:
        body = profile_body(host=host, port=inside.port)
        for method, path in (("POST", PROFILES), ("PUT", f"{PROFILES}/{profile_id}")):
            refused = strict.call(method, path, body)
            assert (refused.status_code, refused.get_json()["error"]) == (422, "destination_refused"), host
        alice.running.rows("UPDATE ssh_profiles SET host = %s WHERE id = %s", canonical_host(host), profile_id)
        connects_again(strict)
        refused = strict.call("POST", f"{PROFILES}/{profile_id}/test", {})
        assert (refused.status_code, refused.get_json()["error"]) == (422, "destination_refused"), host
    assert inside.connections() == 0
    assert alice.events()[-1]["event"] == "ssh_destination_refused"
    assert len(alice.running.rows("SELECT 1 FROM ssh_profiles WHERE user_id = %s", alice.id)) == 1


@pytest.mark.usefixtures("names")
def test_a_connection_would_have_been_counted(alice: Customer, inside: Inside) -> None:
    profile = alice.profile(host="inside.example.com", port=inside.port)
    assert alice.try_profile(profile["id"])["code"] == "host_key_unknown"
    assert inside.connections() == 1


@pytest.mark.usefixtures("names")
def test_every_address_of_a_name_must_be_open(alice: Customer, inside: Inside) -> None:
    """127.0.0.1 is here, and ::1 is not."""
    refused = alice.call("POST", PROFILES, profile_body(host="loopback.example.com", port=inside.port))
    assert refused.get_json()["error"] == "destination_refused"
    assert inside.connections() == 0


def test_ports_that_are_not_allowed_are_refused(alice: Customer) -> None:
    for port in (1, 23, 80, 443, 1023):
        refused = alice.call("POST", PROFILES, profile_body(port=port))
        assert (refused.status_code, refused.get_json()["error"]) == (422, "destination_refused")
    assert alice.call("POST", PROFILES, profile_body(port=1024)).status_code == 201


def test_our_own_database_and_redis_are_refused_although_their_network_is_open(alice: Customer) -> None:
    for url in (alice.running.url, alice.running.redis_url):
        port = urlsplit(url).port
        refused = alice.call("POST", PROFILES, profile_body(port=port))
        assert (refused.status_code, refused.get_json()["error"]) == (422, "destination_refused")


@pytest.mark.usefixtures("names")
def test_a_name_without_an_address_may_be_stored_and_is_not_reached(alice: Customer) -> None:
    NAMES["later.example.com"] = []
    try:
        profile = alice.profile(host="later.example.com")
        assert alice.try_profile(profile["id"])["code"] == "unreachable"
        NAMES["later.example.com"] = ["10.0.0.1"]
        assert alice.call("POST", f"{PROFILES}/{profile['id']}/test", {}).status_code == 422
    finally:
        del NAMES["later.example.com"]
