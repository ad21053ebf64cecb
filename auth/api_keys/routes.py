"""`/api/auth/tokens`: the API keys of the account."""

from dataclasses import asdict
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from ipaddress import IPv6Network, ip_network
from typing import Annotated
from uuid import UUID

from flask import Blueprint
from pydantic import AfterValidator, Field, create_model

from auth.api_keys.create import KeyRequest, NewKey, TooManyApiKeys, create_api_key
from auth.api_keys.list import KeyShown, KeyState, list_api_keys
from auth.api_keys.revoke import revoke_api_key
from auth.api_keys.rotate import ApiKeyReplaced, Overlap, rotate_api_key
from auth.assembly import Auth
from auth.bodies import Name
from auth.principal import Principal
from security.api.cursor import ListAnswer, ListQuery
from security.api.operation import WHOLE, Answer, AnswerBody, Body, operation
from security.edge.problems import TooManyRequests

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


class CreateKeyBody(Body):
    name: Name
    scopes: list[str]
    expires_in_days: Annotated[int, Field(ge=1, le=365), WHOLE] = 90
    allowed_networks: Annotated[list[NetworkText], Field(max_length=NETWORKS_AT_MOST)] = []
    """The only networks that can use the key. Leave empty to allow every network."""


class RotateKeyBody(Body):
    overlap: Overlap = Overlap.HOUR
    """How long the old key keeps working."""


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
    expires_at: datetime
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
def create_key_body(titles: tuple[tuple[str, str], ...]) -> type[CreateKeyBody]:
    """With the scopes that there are in this application."""
    scopes = dict(titles)
    choice = StrEnum("Scope", {name.upper(): name for name in scopes})  # type: ignore[misc] # the scopes are known when it starts
    described = Field(
        min_length=1,
        max_length=len(scopes),
        description=" ".join(f"`{name}`: {title}" for name, title in scopes.items()),
    )
    return create_model("CreateKeyBody", __base__=CreateKeyBody, scopes=(Annotated[list[choice], described], ...))


def api_key_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("tokens", __name__, url_prefix="/api/auth/tokens")

    @operation(
        routes,
        "POST",
        "",
        operation_id="createApiKey",
        summary="Create an API key",
        guard=auth.recently_signed_in,
        body=create_key_body(tuple(auth.scopes.items())),
        answers={201: NewKeyAnswer},
        problems=(TooManyApiKeys, TooManyRequests),
    )
    def create(caller: Principal, body: CreateKeyBody) -> Answer:
        """Returns the API key. Store it now: we do not show it again. An account can have up to 25 keys and create up to 30 an
        hour.
        """
        requested = KeyRequest(
            body.name,
            frozenset(body.scopes),
            timedelta(days=body.expires_in_days),
            tuple(dict.fromkeys(body.allowed_networks)),
        )
        return Answer(201, new_key_answer(create_api_key(auth, caller.user_id, caller.session_id, requested)))

    @operation(
        routes,
        "GET",
        "",
        operation_id="listApiKeys",
        summary="List the API keys of your account",
        guard=auth.signed_in_as_oneself,
        query=ListQuery,
        answers={200: KeysAnswer},
    )
    def show(caller: Principal, query: ListQuery) -> Answer:
        """Returns active keys first, then those that ended within the last month. Does not return the keys themselves."""
        page = list_api_keys(auth, caller.user_id, cursor=query.cursor, limit=query.limit)
        return Answer(200, KeysAnswer(tokens=[key_answer(key) for key in page.items], next_cursor=page.next_cursor))

    @operation(
        routes,
        "DELETE",
        "/<uuid:key_id>",
        operation_id="revokeApiKey",
        summary="Revoke an API key",
        guard=auth.signed_in,
        answers={204: None},
    )
    def revoke(caller: Principal, key_id: UUID) -> Answer:
        """The key stops working at once."""
        revoke_api_key(auth, caller.user_id, caller.session_id, key_id)
        return Answer(204)

    @operation(
        routes,
        "POST",
        "/<uuid:key_id>/rotate",
        operation_id="rotateApiKey",
        summary="Replace an API key",
        guard=auth.recently_signed_in,
        body=RotateKeyBody,
        answers={201: NewKeyAnswer},
        problems=(ApiKeyReplaced, TooManyRequests),
    )
    def rotate(caller: Principal, key_id: UUID, body: RotateKeyBody) -> Answer:
        """Returns a new key with the same name, scopes, networks and lifetime. The old key keeps working until the overlap ends."""
        made = rotate_api_key(auth, caller.user_id, caller.session_id, key_id, body.overlap)
        return Answer(201, new_key_answer(made))

    return routes


def key_answer(key: KeyShown) -> KeyAnswer:
    return KeyAnswer.model_validate(asdict(key))


def new_key_answer(made: NewKey) -> NewKeyAnswer:
    return NewKeyAnswer.model_validate({**asdict(made.shown), "token": made.token})
