"""Which addresses terminals may connect to. Users name the servers, and this process stands in our own network."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

METADATA: Final = frozenset(
    map(
        ip_address,
        (
            "169.254.169.254",  # Amazon, Google, Azure, DigitalOcean, Hetzner, Oracle
            "169.254.170.2",  # Amazon ECS
            "169.254.170.23",  # Amazon EKS
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",  # Google, on IPv6
            "100.100.100.200",  # Alibaba
            "168.63.129.16",  # Azure, a public address
            "192.0.0.192",  # Oracle, formerly
        ),
    )
)
"""Where clouds hand out the credentials of their machines (their manuals, "instance metadata"). No setting opens them."""

GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""All IPv6 addresses that the internet has (RFC 4291, 2.4; IANA). `ipaddress` calls the rest of them global too."""
NAT64: Final = IPv6Network("64:ff9b::/96")
"""RFC 6052, 2.1: a gateway goes to the IPv4 address in the last 32 bits. The same prefix with `:1` is for private networks."""


@dataclass(frozen=True)
class AllowedAddresses:
    """Public ones, and those of `allowed`; never those of `denied`."""

    allowed: Collection[Network] = ()
    denied: Collection[Network] = ()

    def permit(self, address: Address) -> bool:
        """Whether it may be connected to, wherever that leads: an IPv6 address may stand for an IPv4 one."""
        ends = tuple(leads_to(address))
        return all(_is_public(each) or _in(each, self.allowed) for each in ends) and not any(
            _is_nobodys(each) or _in(each, self.denied) for each in (address, *ends)
        )


def leads_to(address: Address) -> Iterator[Address]:
    """Where its packets end, as far as that can be read from it."""
    if isinstance(address, IPv4Address):
        yield address
    elif address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address in NAT64:
        yield IPv4Address(int(address) & 0xFFFF_FFFF)
    else:
        yield address
        if address.sixtofour is not None:
            yield address.sixtofour


def _is_public(address: Address) -> bool:
    return address.is_global and (address.version == 4 or address in GLOBAL_UNICAST)


def _is_nobodys(address: Address) -> bool:
    """`0.0.0.0` would be this machine."""
    return address.is_multicast or address.is_unspecified or address in METADATA


def _in(address: Address, networks: Collection[Network]) -> bool:
    return any(address in network for network in networks)
