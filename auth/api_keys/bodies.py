"""The JSON bodies of API keys."""

from collections.abc import Container
from datetime import datetime
from enum import StrEnum
from functools import cache
from ipaddress import IPv6Network, ip_network
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, create_model

from auth.bodies import Name
from auth.models import ApiKey
from security.api.cursor import ListAnswer
from security.api.models import WHOLE, AnswerBody, Body

NETWORKS_AT_MOST = 20
LONGEST_NETWORK = 43  # eight groups of four digits, a slash and a length


def network(text: str) -> str:
    """The canonical form of an address or a CIDR block. Raises ValueError."""
    address, slash, length = text.partition("/")
    if slash and not length.isdecimal():
        raise ValueError("Enter a network as an address, a slash and a number of bits, such as 203.0.113.0/24")
    try:
        parsed = ip_network(text)
    except ValueError as error:
        raise ValueError("This is not a network, or its address has bits set beyond the prefix length") from error
    if "%" in address or (isinstance(parsed, IPv6Network) and parsed.network_address.ipv4_mapped is not None):
        raise ValueError("Enter the network without a zone, and IPv4 networks in IPv4 form")
    return str(parsed)


NetworkText = Annotated[
    str,
    Field(max_length=LONGEST_NETWORK, json_schema_extra={"format": "ip-network"}, examples=["203.0.113.0/24"]),
    AfterValidator(network),
]


class Overlap(StrEnum):
    """How long the old key keeps working."""

    NONE = "0"
    QUARTER = "15m"
    HOUR = "1h"
    DAY = "24h"


Days = Annotated[int, Field(ge=1, le=365), WHOLE] | None


class CreateKeyBody(Body):
    name: Name
    scopes: list[str] | None = None
    expires_in_days: Days = None
    allowed_networks: Annotated[list[NetworkText], Field(max_length=NETWORKS_AT_MOST)] = []
    """The only networks that can use the key. Leave empty to allow every network."""


class RotateKeyBody(Body):
    overlap: Overlap = Overlap.HOUR
    """How long the old key keeps working."""


class KeyState(StrEnum):
    LIVE = "live"
    EXPIRED = "expired"
    REVOKED = "revoked"


class KeyAnswer(AnswerBody):
    id: UUID
    start: str
    """The first characters of the key, so that you can tell keys apart."""
    name: str
    state: KeyState
    scopes: list[str]
    """What it may be used for. A scope of a product that is switched off is left out."""
    allowed_networks: list[str]
    created_at: datetime
    expires_at: datetime | None
    """Null if the key has no end."""
    last_used_at: datetime | None
    last_used_ip: str | None
    replaced_by: UUID | None
    """The ID of the key that replaced this one."""


class NewKeyAnswer(KeyAnswer):
    token: str
    """The API key. Store it now: we do not show it again."""


class KeysAnswer(ListAnswer):
    tokens: list[KeyAnswer]


@cache
def create_key_body(
    titles: tuple[tuple[str, str], ...], default_days: int | None, name: str = "CreateKeyBody"
) -> type[CreateKeyBody]:
    """With the scopes that there are in this application. `default_days`: the life of a key where none is named; None for no end."""
    scopes = dict(titles)
    choice = StrEnum("Scope", {name.upper(): name for name in scopes})  # type: ignore[misc] # the scopes are known when it starts
    described = Field(
        min_length=1,
        max_length=len(scopes),
        description=" ".join(f"`{name}`: {title}" for name, title in scopes.items())
        + " Leave it out for every scope whose calls are metered.",
    )
    return create_model(
        name,
        __base__=CreateKeyBody,
        scopes=(Annotated[list[choice], described] | None, None),
        expires_in_days=(Days, Field(default=default_days, description="Days until the key ends. Null for no end.")),
    )


def state_of(key: ApiKey, now: datetime) -> KeyState:
    if key.revoked_at is not None:
        return KeyState.REVOKED
    return KeyState.EXPIRED if key.expires_at is not None and key.expires_at <= now else KeyState.LIVE


def key_answer(key: ApiKey, scopes: Container[str], now: datetime) -> KeyAnswer:
    """With those of its scopes that there are here."""
    return KeyAnswer(
        id=key.id,
        start=key.start,
        name=key.name,
        state=state_of(key, now),
        scopes=[name for name in key.scopes if name in scopes],
        allowed_networks=key.allowed_networks,
        created_at=key.created_at,
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
        last_used_ip=key.last_used_ip,
        replaced_by=key.replaced_by_id,
    )
