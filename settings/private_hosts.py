"""Which hosts are on a private network, where a connection without TLS does not cross the internet."""

import ipaddress
import re

# `.internal` is set aside for private networks (ICANN, 2024; Railway's `.railway.internal` is one); `.local`
# by RFC 6762 and used by Kubernetes (`svc.cluster.local`).
PRIVATE_SUFFIXES = (".internal", ".local", ".localhost")

METADATA_NAMES = ("metadata", "metadata.google.internal", "instance-data")
METADATA_ADDRESSES = (ipaddress.ip_address("fd00:ec2::254"),)
"""Of Google Cloud and Amazon EC2, which lie outside of the link's addresses (their manuals, "instance metadata")."""

# A name without a dot is the name of a service beside this one (compose, Kubernetes). It must begin with a
# letter, because resolvers read `134744072` and `0x8080808` as addresses.
SINGLE_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def is_private_host(host: str) -> bool:
    """True for loopback, private addresses and names that only a private resolver answers.

    False for addresses of the link, where clouds have the service that gives out their credentials.
    """
    name = host.lower().rstrip(".")
    if name in METADATA_NAMES:
        return False
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return SINGLE_LABEL.fullmatch(name) is not None or name.endswith(PRIVATE_SUFFIXES)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    never = address.is_unspecified or address.is_link_local or address.is_multicast or address in METADATA_ADDRESSES
    return address.is_loopback or (address.is_private and not never)
