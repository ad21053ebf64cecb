"""Whence a request comes."""

import secrets
from ipaddress import IPv4Address


def new_address() -> str:
    """A network address that no other caller of the tests has, so that nobody meets another's limit."""
    return str(IPv4Address(0x0A000000 | secrets.randbits(24)))
