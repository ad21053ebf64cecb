"""`/api/auth/tokens`: the API keys of the account."""

from dataclasses import asdict
from datetime import datetime, timedelta
from ipaddress import IPv6Network, ip_network
from typing import Annotated
from uuid import UUID

from flask import Blueprint
from pydantic import AfterValidator, Field

from auth.api_keys.create import KeyWish, NewKey, TooManyApiKeys, create_api_key
from auth.api_keys.list import KeyShown, KeyState, list_api_keys
from auth.api_keys.revoke import revoke_api_key
from auth.api_keys.rotate import ApiKeyReplaced, Overlap, rotate_api_key
from auth.assembly import Auth
from auth.principal import Principal
from auth.scopes import Scope
from security.api.cursor import ListAnswer, ListQuery
from security.api.operation import WHOLE, Answer, AnswerBody, Body, operation
from security.api.typed_text import trims
from security.edge.problems import TooManyRequests

NETWORKS_AT_MOST = 20
LONGEST_NETWORK = 43  # eight groups of four digits, a slash and a length


def network(text: str) -> str:
    """The canonical form of an address or a CIDR block. Raises ValueError."""
    address, slash, length = text.partition("/")
    if slash and not length.isdecimal():
        raise ValueError("A network is written as an address, a slash and a number of bits")
    try:
        parsed = ip_network(text)
    except ValueError as error:
        raise ValueError("This is not a network address, or bits are set beyond its length") from error
    if "%" in address or (isinstance(parsed, IPv6Network) and parsed.network_address.ipv4_mapped is not None):
        raise ValueError("Write a network without a zone, and an IPv4 network in its own form")
    return str(parsed)


def readable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("A name has visible characters and no control characters")
    return text


NetworkText = Annotated[
    str,
    Field(max_length=LONGEST_NETWORK, json_schema_extra={"format": "ip-network"}, examples=["203.0.113.0/24"]),
    AfterValidator(network),
]


class CreateKeyBody(Body):
    name: Annotated[
        str, Field(min_length=1, max_length=100, examples=["nightly report"]), AfterValidator(readable), trims(100)
    ]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]
    expires_in_days: Annotated[int, Field(ge=1, le=365), WHOLE] = 90
    allowed_networks: Annotated[list[NetworkText], Field(max_length=NETWORKS_AT_MOST)] = []
    """The key works from these networks alone. Empty: from everywhere."""


class RotateKeyBody(Body):
    overlap: Overlap = Overlap.HOUR
    """How long the old key works on."""


class KeyAnswer(AnswerBody):
    id: UUID
    start: str
    """The first characters, to tell keys apart."""
    name: str
    state: KeyState
    scopes: list[Scope]
    allowed_networks: list[str]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    last_used_ip: str | None
    replaced_by: UUID | None
    """The key that took its place when it was rotated."""


class NewKeyAnswer(KeyAnswer):
    token: str
    """The key itself. It is shown this once."""


class KeysAnswer(ListAnswer):
    tokens: list[KeyAnswer]


def api_key_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("tokens", __name__, url_prefix="/api/auth/tokens")

    @operation(
        routes,
        "POST",
        "",
        operation_id="createApiKey",
        summary="Create an API key",
        guard=auth.recently_signed_in,
        body=CreateKeyBody,
        answers={201: NewKeyAnswer},
        problems=(TooManyApiKeys, TooManyRequests),
    )
    def create(caller: Principal, body: CreateKeyBody) -> Answer:
        """The answer holds the key itself, this once. An account can have 25 keys, and create 30 an hour."""
        wish = KeyWish(
            body.name,
            frozenset(body.scopes),
            timedelta(days=body.expires_in_days),
            tuple(dict.fromkeys(body.allowed_networks)),
        )
        return Answer(201, new_key_answer(create_api_key(auth, caller.user_id, caller.session_id, wish)))

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
        """Those that work come first, then those that ended within the last month. The keys themselves are never shown
        again.
        """
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
        """It stops working at once."""
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
        """The new key has the same name, scopes, networks and lifetime. The old one works until the overlap is over."""
        made = rotate_api_key(auth, caller.user_id, caller.session_id, key_id, body.overlap)
        return Answer(201, new_key_answer(made))

    return routes


def key_answer(key: KeyShown) -> KeyAnswer:
    return KeyAnswer.model_validate(asdict(key))


def new_key_answer(made: NewKey) -> NewKeyAnswer:
    return NewKeyAnswer.model_validate({**asdict(made.shown), "token": made.token})
