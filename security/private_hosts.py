"""Which hosts are on a private network, where a connection without TLS does not cross the internet."""

import ipaddress
import re

# `.internal` is set aside for private networks (ICANN, 2024; Railway's `.railway.internal` is one); `.local`
# by RFC 6762 and used by Kubernetes (`svc.cluster.local`).
PRIVATE_SUFFIXES = (".internal", ".local", ".localhost")

# A name without a dot is the name of a service beside this one (compose, Kubernetes). It must begin with a
# letter, because resolvers read `134744072` and `0x8080808` as addresses.
SINGLE_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def is_private_host(host: str) -> bool:
    """True for loopback, private addresses and names that only a private resolver answers."""
    name = host.lower().rstrip(".")
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return SINGLE_LABEL.fullmatch(name) is not None or name.endswith(PRIVATE_SUFFIXES)
    return address.is_loopback or (address.is_private and not address.is_unspecified)
