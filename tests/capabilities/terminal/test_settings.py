"""The settings of the terminal"""

import re

import pytest

from capabilities.terminal.settings import TerminalSection, port_ranges
from config import SettingsInvalid, load_settings
from settings.check import remarks_on
from tests.whole.environment import production_environment


def loaded(**changes: str) -> TerminalSection:
    environ = production_environment("postgresql://app@db.example.com/app", "https://predict.example.com")
    settings = load_settings({**environ, "CAPABILITIES": "terminal", **changes})
    assert isinstance(settings, TerminalSection)
    return settings


def test_only_public_addresses_and_the_usual_ports_are_open() -> None:
    settings = loaded()
    assert settings.terminal_allowed_networks == settings.terminal_denied_networks == frozenset()
    assert port_ranges(settings.terminal_allowed_ports) == ((22, 22), (1024, 65_535))
    assert settings.terminal_connect_seconds == 10


def test_networks_and_ports_are_lists() -> None:
    settings = loaded(TERMINAL_ALLOWED_NETWORKS="10.1.0.0/16, 2001:db8::/32", TERMINAL_ALLOWED_PORTS="22, 2000-2100")
    assert sorted(map(str, settings.terminal_allowed_networks)) == ["10.1.0.0/16", "2001:db8::/32"]
    assert port_ranges(settings.terminal_allowed_ports) == ((22, 22), (2000, 2100))


def test_the_page_is_there_in_development_and_elsewhere_for_those_who_ask_for_it() -> None:
    in_development = load_settings({"CAPABILITIES": "terminal"})
    assert isinstance(in_development, TerminalSection) and in_development.terminal_page
    assert not loaded().terminal_page and loaded(TERMINAL_PAGE="on").terminal_page
    assert loaded().switched_off()["/terminal"] == "TERMINAL_PAGE"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("TERMINAL_ALLOWED_NETWORKS", "10.1.0.0/16,office"),
        ("TERMINAL_ALLOWED_NETWORKS", "10.1.2.3/16"),
        ("TERMINAL_DENIED_NETWORKS", "10.0.0.0/33"),
        ("TERMINAL_ALLOWED_PORTS", "ssh"),
        ("TERMINAL_ALLOWED_PORTS", "0"),
        ("TERMINAL_ALLOWED_PORTS", "22-21"),
        ("TERMINAL_ALLOWED_PORTS", "22,65536"),
        ("TERMINAL_ALLOWED_PORTS", "22,,23"),
        ("TERMINAL_CONNECT_SECONDS", "0"),
        ("TERMINAL_CONNECT_SECONDS", "61"),
    ],
)
def test_what_cannot_be_meant_stops_the_start(name: str, text: str) -> None:
    with pytest.raises(SettingsInvalid, match=rf"{name} ") as refused:
        loaded(**{name: text})
    assert not re.search(r"function|union|tagged", str(refused.value))


def test_opening_every_address_is_remarked_on() -> None:
    remarks = list(remarks_on(loaded(TERMINAL_ALLOWED_NETWORKS="0.0.0.0/0")))
    assert any("TERMINAL_ALLOWED_NETWORKS" in remark for remark in remarks)
