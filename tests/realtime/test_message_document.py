"""What the OpenAPI document says of a socket of a path."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import click
import pytest
from jsonschema import Draft202012Validator

from auth.tiers import Tier
from metering.socket_error import error_members
from metering.sockets import SocketEvents
from realtime.commands import realtime_commands
from realtime.messages import socket_messages
from security.api.socket_messages import described_sockets
from security.edge.problems import TooBusy, ValidationFailed
from tests.realtime.toy_messages import PATH, SUBPROTOCOL, TOY_MESSAGES

OFFERED = TOY_MESSAGES.build(None, None).sockets  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def told() -> Mapping[str, Any]:
    assert OFFERED is not None
    return described_sockets("wss://api.example.com", {PATH: socket_messages(OFFERED)})


def is_valid(told: Mapping[str, Any], side: str, message: Mapping[str, object]) -> bool:
    schema = {**told["paths"][PATH][side][message["type"]], "x-websocket": told}
    return bool(Draft202012Validator(schema).is_valid(message))


def test_it_has_the_messages_of_the_product_and_those_that_every_path_has(told: Mapping[str, Any]) -> None:
    path = told["paths"][PATH]
    assert path["protocol"] == f"WebSocket, subprotocol {SUBPROTOCOL}"
    assert path["description"].startswith("Toys that can be talked to.\n\nEach text frame is a JSON object")
    assert {"echo", "flood", "auth", "ping"} <= path["from_client"].keys()
    assert set(path["from_server"]) == {"said", "authenticated", "pong", "warning", "going_away", "error"}


def test_schemas_are_of_whole_messages(told: Mapping[str, Any]) -> None:
    check = partial(is_valid, told)
    assert check("from_client", {"type": "echo", "data": "a", "more": 1})
    assert not check("from_client", {"type": "echo"})
    assert check("from_client", {"type": "auth", "data": {"token": "a"}})
    assert check("from_server", {"type": "said", "data": "a"})
    assert not check("from_server", {"data": "a", "type": "said", "more": 1})
    assert check("from_server", {"type": "error", **error_members(TooBusy(seconds=7), "a session")})
    assert check("from_server", {"type": "error", **error_members(ValidationFailed([]))})


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([None, None], "only one capability"),
        (["/ws/a", "/ws/a"], "only one each path"),
        (["/api/a"], "proxies send only"),
    ],
    ids=["two-socket-io", "same-path", "elsewhere"],
)
def test_what_cannot_be_offered_together_stops_the_start(paths: list[str | None], message: str) -> None:
    offers = [SocketEvents(None, dict.fromkeys(Tier, 1), [], path=path) for path in paths]
    with pytest.raises(ValueError, match=message):
        realtime_commands(None, None, None, offers)  # type: ignore[arg-type]


def test_one_with_socket_io_and_several_with_paths_are_fine() -> None:
    offers = [None, *(SocketEvents(None, dict.fromkeys(Tier, 1), [], path=path) for path in (None, "/ws/a", "/ws/b"))]
    group = realtime_commands(None, None, None, offers)  # type: ignore[arg-type]
    assert isinstance(group.commands["run"], click.Command)
