"""The settings of the terminal: which servers may be reached from here, and how long that may take."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, BeforeValidator, Field

from settings import types
from settings.database import DatabaseSection
from settings.section import Place

HIGHEST_PORT: Final = 65_535


def _network(value: object) -> object:
    """Raises ValueError."""
    if not isinstance(value, str):
        return value
    try:
        return ip_network(value)
    except ValueError:
        raise ValueError("must be networks such as 10.1.0.0/16 or 2001:db8::/32, separated by commas") from None


def port_ranges(text: str) -> tuple[tuple[int, int], ...]:
    """Each with both ends. Raises ValueError."""
    ranges = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,5})(?:-(\d{1,5}))?\s*", part, re.ASCII)
        first = int(found[1]) if found else 0
        last = int(found[2]) if found and found[2] else first
        if not 1 <= first <= last <= HIGHEST_PORT:
            raise ValueError("must be ports and ranges of ports such as 22,1024-65535")
        ranges.append((first, last))
    return tuple(ranges)


def _port_text(text: str) -> str:
    port_ranges(text)
    return text


Network = IPv4Network | IPv6Network
Networks = Annotated[frozenset[Annotated[Network, BeforeValidator(_network)]], types.COMMA_LIST]
Ports = Annotated[str, AfterValidator(_port_text)]


class TerminalSection(DatabaseSection):
    title: ClassVar = "Remote terminal"

    terminal_allowed_networks: Networks = Field(default=frozenset(), examples=["10.20.0.0/16"])
    """Private networks whose servers terminals may reach, separated by commas. Default: none, only public addresses. The addresses
    where clouds hand out credentials stay closed, and so do the ports of our own database, Redis and private server."""
    terminal_denied_networks: Networks = Field(default=frozenset(), examples=["198.51.100.0/24"])
    """Networks that terminals may not reach, also where `TERMINAL_ALLOWED_NETWORKS` would allow it."""
    terminal_allowed_ports: Ports = "22,1024-65535"
    """The ports that terminals may connect to: numbers and ranges, separated by commas."""
    terminal_connect_seconds: float = Field(default=10, ge=1, le=60)
    """The longest time to connect to a server and to sign in, in seconds. The time in which a user types is not counted."""

    terminal_page: bool = Field(examples=["on"])
    """Whether there is the page `/terminal`, a terminal in the browser. Default: on in development, otherwise off."""

    @staticmethod
    def defaults(place: Place) -> dict[str, str]:
        return {"terminal_page": "on" if place.is_development else "off"}

    def switched_off(self) -> dict[str, str]:
        return {} if self.terminal_page else {"/terminal": "TERMINAL_PAGE", "/portal/terminal": "TERMINAL_PAGE"}

    def remarks(self) -> Iterator[str]:
        if any(network.prefixlen == 0 for network in self.terminal_allowed_networks):
            yield "TERMINAL_ALLOWED_NETWORKS opens every address: users can reach whatever this server reaches"
