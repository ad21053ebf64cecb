"""Hosts have one form"""

import pytest

from capabilities.terminal.ssh.host_name import canonical_host


@pytest.mark.parametrize(
    ("typed", "host"),
    [
        ("Server.Example.COM", "server.example.com"),
        ("server.example.com.", "server.example.com"),
        ("box_1", "box_1"),
        ("203.0.113.7", "203.0.113.7"),
        ("[2001:DB8:0:0::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("0x7f000001", "0x7f000001"),  # a resolver reads it as an address, and that is judged
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_a_host_is_taken_in_its_one_form(typed: str, host: str) -> None:
    assert canonical_host(typed) == host


@pytest.mark.parametrize(
    "typed",
    [
        "",
        ".",
        "a b",
        "host:22",
        "user@host",
        "-oProxyCommand=x",
        "a..b",
        "bücher.example",
        "fe80::1%eth0",
        "[x]",
        "a\nb",
        "x" * 64,
    ],
)
def test_what_is_no_host_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="Enter"):
        canonical_host(typed)
