"""Where a request comes from, when proxies that we trust stand in front."""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from flask import current_app, request

EXTENSION_KEY = "trusted_proxies"
UNKNOWN_ADDRESS = "0.0.0.0"  # nosec B104 # noqa: S104 (the unspecified address as a value, nothing is bound to it)


@dataclass(frozen=True)
class TrustedProxies:
    """How many proxies in front of us add to `X-Forwarded-For` and `X-Forwarded-Proto`; 0 ignores both headers."""

    hops: int = 0

    def client_address(self, environ: dict[str, Any]) -> str:
        """A canonical IP address. The entry that our outermost proxy added; the socket's peer where that is
        not an address.

        Entries further left were sent by the client and can say anything.
        """
        peer = environ.get("REMOTE_ADDR") or ""
        if self.hops:
            entries = environ.get("HTTP_X_FORWARDED_FOR", "").rsplit(",", self.hops)
            entry = entries[-self.hops] if len(entries) >= self.hops else ""
            address = _canonical(entry.strip()[:64])
            if address is not None:
                return address
        return _canonical(peer) or UNKNOWN_ADDRESS

    def is_https(self, environ: dict[str, Any]) -> bool:
        """Whether the client's own connection was https.

        Many proxies replace `X-Forwarded-Proto` where they append to `X-Forwarded-For`, so a list that is
        shorter than the number of proxies counts from its left end.
        """
        if self.hops:
            forwarded = environ.get("HTTP_X_FORWARDED_PROTO")
            if forwarded:
                schemes = forwarded.split(",")
                return bool(schemes[-min(self.hops, len(schemes))].strip().lower() == "https")
        return bool(environ.get("wsgi.url_scheme") == "https")


def client_address() -> str:
    """The caller's address, canonical, fit for an `inet` column.

    Never raises for anything a client can send.
    """
    proxies: TrustedProxies = current_app.extensions.get(EXTENSION_KEY) or TrustedProxies()
    return proxies.client_address(request.environ)


@lru_cache(maxsize=4096)
def network_of(address: str, ipv6_bits: int = 64) -> str:
    """What one sender has at least: an IPv4 address, or a /64 of IPv6 (RFC 6177). `address` is canonical."""
    parsed = ip_address(address)
    if not isinstance(parsed, IPv6Address):
        return address
    return str(ip_network((parsed, ipv6_bits), strict=False))


@lru_cache(maxsize=4096)
def is_loopback(address: str) -> bool:
    return ip_address(address).is_loopback


def is_private(peer: str) -> bool:
    """Whether a socket's peer is on a private network. False for a Unix socket."""
    address = _canonical(peer)
    return address is not None and ip_address(address).is_private


@lru_cache(maxsize=4096)
def _canonical(text: str) -> str | None:
    """`192.0.2.1`, `192.0.2.1:443`, `2001:db8::1` or `[2001:db8::1]:443` without the port; None for anything else."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None  # a zone means something on the sender's machine only, and PostgreSQL's inet refuses it
        return str(address.ipv4_mapped or address)
    return str(address)
