"""How many sockets there may be, and which pages may open one."""

import pytest

from realtime.caps import Caps, TooManySockets
from realtime.origin import OriginNotAllowed, Origins
from security.edge.problems import TooBusy


def test_what_is_given_back_can_be_taken_again() -> None:
    caps = Caps(most=10, per_address=1)
    caps.check("192.0.2.1")
    caps.take("192.0.2.1")
    caps.check("192.0.2.2")
    with pytest.raises(TooManySockets):
        caps.check("192.0.2.1")
    caps.give_back("192.0.2.1")
    caps.check("192.0.2.1")
    assert len(caps) == 0


def test_an_ipv6_network_counts_as_one_address() -> None:
    caps = Caps(most=10, per_address=1)
    caps.take("2001:db8::1")
    caps.check("2001:db8:0:1::1")
    with pytest.raises(TooManySockets):
        caps.check("2001:db8::2")


def test_a_full_process_is_told_before_a_full_address() -> None:
    caps = Caps(most=1, per_address=1)
    caps.take("192.0.2.1")
    with pytest.raises(TooBusy):
        caps.check("192.0.2.1")


@pytest.mark.parametrize(
    "origin", [None, "https://api.example.com", "https://API.example.com:443", "capacitor://localhost"]
)
def test_these_may_open_one(origin: str | None) -> None:
    Origins(["https://api.example.com"], ["capacitor://localhost"]).check(origin)


@pytest.mark.parametrize(
    "origin", ["", "null", "http://api.example.com", "https://api.example.com.evil.example", "https://"]
)
def test_these_may_not(origin: str) -> None:
    with pytest.raises(OriginNotAllowed):
        Origins(["https://api.example.com"], ["capacitor://localhost"]).check(origin)
