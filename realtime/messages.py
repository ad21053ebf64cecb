"""What every client of a path may send beside the messages of its product, and is told."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

from pydantic import BaseModel, Field, create_model

from metering.socket_error import ErrorTold
from metering.sockets import SocketEvents
from security.api.models import AnswerBody, Message
from security.api.socket_messages import SocketMessages


class AuthData(Message):
    token: str = Field(min_length=1, max_length=4096)
    """An access token. On a socket on which you signed in: a new one of the same account."""


class Auth(Message):
    data: AuthData


class Ping(Message):
    data: Any = None
    """Comes back with `pong`. At most 1 KiB."""


class AuthenticatedData(AnswerBody):
    expires_at: int | None
    """When the token ends, in Unix seconds."""


class Authenticated(AnswerBody):
    data: AuthenticatedData


class Pong(AnswerBody):
    data: Any = Field(default=None, exclude_if=lambda value: value is None)


class ExpiringData(AnswerBody):
    code: Literal["token_expiring"] = "token_expiring"
    seconds: int
    """Until the token ends, and the socket with it. Send `auth`."""


class ExpiringWarning(AnswerBody):
    data: ExpiringData


class GoingAwayData(AnswerBody):
    retry_after: float
    """The server stops. Seconds after which to connect again."""


class GoingAwayMessage(AnswerBody):
    data: GoingAwayData


FROM_CLIENT: Final[Mapping[str, type[BaseModel]]] = MappingProxyType({"auth": Auth, "ping": Ping})
FROM_SERVER: Final[Mapping[str, type[BaseModel]]] = MappingProxyType(
    {
        "authenticated": Authenticated,
        "pong": Pong,
        "warning": ExpiringWarning,
        "going_away": GoingAwayMessage,
        "error": ErrorTold,
    }
)

FRAMES: Final = """\
Each text frame is a JSON object with a `type`. Unknown members are ignored, in both directions. Sign in with `?token=` and an access
token, or by the message `auth`; the latter is better, because addresses are written to the logs of proxies."""


def socket_messages(offered: SocketEvents) -> SocketMessages:
    """For the OpenAPI document. What a product tells by itself replaces what every path tells by that name."""
    from_client = {**{each.name: each.body for each in offered.events}, **FROM_CLIENT}
    from_server = {**FROM_SERVER, **offered.told}
    return SocketMessages(
        f"WebSocket, subprotocol {offered.subprotocol}" if offered.subprotocol else "WebSocket",
        f"{offered.description}\n\n{FRAMES}".lstrip(),
        {type_: _with_type(type_, model) for type_, model in from_client.items() if model is not None},
        {type_: _with_type(type_, model) for type_, model in from_server.items()},
    )


def _with_type(type_: str, model: type[BaseModel]) -> type[BaseModel]:
    """The whole message: handlers know the type, and clients do not."""
    name = "".join(part.capitalize() for part in type_.split("_"))
    this_type: Any = Literal[type_]
    # Its fields have their descriptions. Looking for the source of a class that has none took most of the time to start.
    unread = {"use_attribute_docstrings": False}
    return create_model(f"{name}Message", __base__=model, __cls_kwargs__=unread, type=(this_type, ...))
