"""The host of a server in one form, so that the same one is never known under two."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated, Final

from pydantic import AfterValidator, Field

LONGEST_HOST: Final = 253
NAME: Final = re.compile(
    r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?", re.ASCII
)


def canonical_host(text: str) -> str:
    """A name in lower case, or an address as `ipaddress` writes it. `[::1]` is taken without its brackets. Raises ValueError."""
    host = text.lower()
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ip_address(bare)
    except ValueError:
        if NAME.fullmatch(host) is None:
            raise ValueError(
                "Enter a host name or an IP address, without a port. Names with other letters begin with xn--"
            ) from None
        return host.rstrip(".")
    if "%" in bare:
        raise ValueError("Enter the address without a zone")
    return str(address)


@dataclass(frozen=True)
class Server:
    """`host` in canonical form."""

    host: str
    port: int


Host = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_HOST, examples=["server.example.com"]),
    AfterValidator(canonical_host),
]
