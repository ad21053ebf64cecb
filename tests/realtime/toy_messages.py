"""A capability with a WebSocket of its own, with one message for each way in which it can be used."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import Field

from auth.tiers import Tier
from metering.capability import Capability
from metering.sockets import Socket, SocketEvent, SocketEvents, Sockets
from security.api.models import AnswerBody, Message
from security.edge.problems import Problem, TooBusy
from tests.realtime.toy_sockets import NEWS
from tests.toy_capability import TOY_LIMITS

if TYPE_CHECKING:
    from metering.parts import Built, Parts

PATH = "/ws/toy"
SUBPROTOCOL = "mirroros.toy.v1"
SIGN_IN_SECONDS = 1.0
SOCKETS = {Tier.FREE: 2, Tier.PLUS: 3, Tier.PRO: 10, Tier.TEAM: 20, Tier.ENTERPRISE: 5000}
MOST_ECHOES = 500


class Said(Message):
    session_id: UUID | None = None
    data: str


class SaidTold(AnswerBody):
    data: str


class Flood(Message):
    count: int = Field(ge=0)
    size: int = Field(ge=0)


class Close(Message):
    code: int
    reason: str


class Nothing(Message):
    pass


class NotToday(Problem):
    status, error, title = 409, "not_today", "Not today"


class ToyMessages:
    """`ended`: how many sockets have ended, of those on which somebody had signed in."""

    sockets: Sockets

    def __init__(self) -> None:
        self.ended = 0

    def started(self, sockets: Sockets) -> None:
        self.sockets = sockets

    async def echo(self, socket: Socket, said: Said) -> Mapping[str, object]:
        socket.emit("said", {"data": said.data})
        return {"ignored": True}

    async def flood(self, socket: Socket, body: Flood) -> Mapping[str, object]:
        async def pour() -> None:
            for number in range(body.count):
                await socket.send("drop", {"number": number, "data": "x" * body.size})

        socket.start(pour())
        return {}

    async def burst(self, socket: Socket, body: Flood) -> Mapping[str, object]:
        for number in range(body.count):
            socket.emit("drop", {"number": number, "data": "x" * body.size})
        return {}

    async def tell(self, socket: Socket, _: Nothing) -> Mapping[str, object]:
        for each in self.sockets.of_user(socket.caller.user_id):
            each.emit("told", {"tier": socket.caller.tier, "ended": self.ended})
        return {}

    async def work(self, socket: Socket, _: Nothing) -> Mapping[str, object]:
        socket.emit("worked", {"data": await socket.blocking(_thread)})
        return {}

    async def refuse(self, _: Socket, __: Nothing) -> Mapping[str, object]:
        raise NotToday

    async def busy(self, _: Socket, __: Nothing) -> Mapping[str, object]:
        raise TooBusy(seconds=7)

    async def fail(self, _: Socket, __: Nothing) -> Mapping[str, object]:
        raise RuntimeError("a secret")

    async def close(self, socket: Socket, body: Close) -> Mapping[str, object]:
        socket.emit("said", {"data": "goodbye"})
        socket.close(body.code, body.reason)
        socket.emit("said", {"data": "too late"})
        return {}

    def heard(self, payload: str) -> None:
        for socket in self.sockets.all():
            socket.emit("news", {"data": payload})

    def socket_ended(self, _: Socket) -> None:
        self.ended += 1


def _thread() -> str:
    import threading

    time.sleep(0.001)
    return threading.current_thread().name


def _build(_: "Parts", __: object) -> "Built":
    from metering.parts import Built

    toys = ToyMessages()
    events = (
        SocketEvent("echo", Said, toys.echo, per_second=MOST_ECHOES),
        SocketEvent("flood", Flood, toys.flood),
        SocketEvent("burst", Flood, toys.burst),
        SocketEvent("tell", Nothing, toys.tell),
        SocketEvent("work", Nothing, toys.work),
        SocketEvent("refuse", Nothing, toys.refuse),
        SocketEvent("busy", Nothing, toys.busy),
        SocketEvent("fail", Nothing, toys.fail),
        SocketEvent("close", Close, toys.close),
    )
    return Built(
        sockets=SocketEvents(
            None,
            SOCKETS,
            events,
            told={"said": SaidTold},
            started=toys.started,
            heard={NEWS: toys.heard},
            ended=toys.socket_ended,
            path=PATH,
            subprotocol=SUBPROTOCOL,
            description="Toys that can be talked to.",
            sign_in_seconds=SIGN_IN_SECONDS,
        ),
    )


TOY_MESSAGES = Capability(
    name="toymessages",
    title="Toys that can be talked to at a path of their own.",
    scopes={},
    limits={tier: {"toymessages": limits} for tier, limits in TOY_LIMITS.items()},
    build=_build,
)
