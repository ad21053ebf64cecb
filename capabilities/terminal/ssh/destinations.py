"""Finding the addresses of a server, once, and judging all of them before anything is connected.

Whoever connects uses these addresses and never the name: a name server may answer something else a moment later.
"""

import asyncio
import socket
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from capabilities.terminal.ssh.allowed_addresses import Address, AllowedAddresses, leads_to
from capabilities.terminal.ssh.failures import Unreachable
from capabilities.terminal.ssh.host_name import Server
from security.edge.problems import Problem

RESOLVE_SECONDS: Final = 3.0
RESOLVING_THREADS: Final = 16
MOST_ADDRESSES: Final = 4
"""That are tried. All are judged."""

Resolve = Callable[[Server], Collection[str]]
"""Blocks. Raises OSError for a name without an address."""


class DestinationRefused(Problem):
    """One answer for every kind of address, so that nobody learns from it what there is in our network."""

    status, error, title = 422, "destination_refused", "Terminals can only connect to public addresses"


class PortRefused(DestinationRefused):
    title = "Terminals cannot connect to this port"


@dataclass(frozen=True)
class Destination:
    """A server that may be connected to, by these addresses."""

    server: Server
    addresses: tuple[Address, ...]


class Destinations:
    """One per process. `own`: our own servers, which stay closed whatever is allowed.

    Makes no thread before the first `find`.
    """

    def __init__(
        self,
        addresses: AllowedAddresses,
        ports: Sequence[tuple[int, int]],
        own: Iterable[Server] = (),
        *,
        resolve: Resolve | None = None,
    ) -> None:
        self._addresses = addresses
        self._ports = ports
        self._own = {server: frozenset[Address]() for server in own}
        self._resolve = resolve or addresses_of
        self._threads = ThreadPoolExecutor(RESOLVING_THREADS, "ssh-resolve")

    async def find(self, server: Server) -> Destination:
        """Raises DestinationRefused, and Unreachable when the name has no address or no name server answers in time."""
        if not any(first <= server.port <= last for first, last in self._ports):
            raise PortRefused
        own = [each for each in self._own if each.port == server.port]
        found, *_ = await asyncio.gather(self._find(server), *map(self._find_own, own))
        if not found:
            raise Unreachable
        closed = {address for each in own for address in self._own[each]}
        if not all(self._addresses.permit(address) and closed.isdisjoint(leads_to(address)) for address in found):
            raise DestinationRefused
        return Destination(server, found[:MOST_ADDRESSES])

    async def _find(self, server: Server) -> tuple[Address, ...]:
        """Empty for a name without an address. Each once, in the order in which they should be tried."""
        try:
            return (ip_address(server.host),)
        except ValueError:
            pass
        asked = asyncio.get_running_loop().run_in_executor(self._threads, self._resolve, server)
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                return tuple(dict.fromkeys(map(ip_address, await asked)))
        except (OSError, ValueError):  # TimeoutError is an OSError; ValueError: it is no name by IDNA's rules
            return ()

    async def _find_own(self, server: Server) -> None:
        """What was known stays while no name server answers."""
        found = await self._find(server)
        self._own[server] = frozenset(end for address in found for end in leads_to(address)) or self._own[server]


def addresses_of(server: Server) -> list[str]:
    return [str(sockaddr[0]) for *_, sockaddr in socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)]
