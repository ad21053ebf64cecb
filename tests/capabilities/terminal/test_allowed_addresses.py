"""Which addresses terminals may connect to"""

from ipaddress import ip_address, ip_network

import pytest

from capabilities.terminal.ssh.allowed_addresses import METADATA, AllowedAddresses

PUBLIC = ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1")
CLOSED = (
    "0.0.0.0",  # noqa: S104
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::8.8.8.8",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "4000::1",
    "fc00::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_open(address: str) -> None:
    assert AllowedAddresses().permit(ip_address(address))


@pytest.mark.parametrize("address", CLOSED)
def test_all_others_are_closed(address: str) -> None:
    assert not AllowedAddresses().permit(ip_address(address))


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3"])
def test_a_network_is_opened_in_every_spelling_of_its_addresses(address: str) -> None:
    opened = AllowedAddresses(allowed=[ip_network("10.1.0.0/16")])
    assert opened.permit(ip_address(address))
    assert not opened.permit(ip_address("10.2.2.3"))


@pytest.mark.parametrize(
    "address", ["198.51.100.7", "8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"]
)
def test_a_denied_network_is_closed_whatever_is_allowed(address: str) -> None:
    denied = [ip_network("8.8.8.0/24"), ip_network("198.51.100.0/24")]
    assert not AllowedAddresses([ip_network("198.51.100.0/24")], denied).permit(ip_address(address))


@pytest.mark.parametrize("address", sorted(map(str, METADATA)))
def test_nothing_opens_where_clouds_hand_out_credentials(address: str) -> None:
    everything = [ip_network("0.0.0.0/0"), ip_network("::/0")]
    assert not AllowedAddresses(everything).permit(ip_address(address))
    assert AllowedAddresses(everything).permit(ip_address("10.0.0.1"))


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "224.0.0.1", "ff02::1"])  # noqa: S104
def test_nothing_opens_what_is_no_server(address: str) -> None:
    assert not AllowedAddresses([ip_network("0.0.0.0/0"), ip_network("::/0")]).permit(ip_address(address))
