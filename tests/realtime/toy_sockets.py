"""A capability that does nothing but hold sockets, with one event for each way in which they can be used."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from auth.tiers import Tier
from metering.capability import Capability
from metering.sockets import Socket, SocketEvent, SocketEvents, Sockets
from security.api.models import Body
from security.edge.problems import Problem
from tests.toy_capability import TOY_LIMITS

if TYPE_CHECKING:
    from metering.parts import Built, Parts

NEWS = "toy_news"
SOCKETS = {Tier.FREE: 2, Tier.PLUS: 3, Tier.PRO: 10, Tier.TEAM: 20, Tier.ENTERPRISE: 5000}


class Said(Body):
    text: str = Field(max_length=1_000_000)


class Room(Body):
    room: str


class Flood(Body):
    count: int
    size: int


class Nothing(Body):
    pass


class NotToday(Problem):
    status, error, title = 409, "not_today", "Not today"


class Toys:
    sockets: Sockets
    held = False

    def started(self, sockets: Sockets) -> None:
        self.sockets = sockets

    async def echo(self, socket: Socket, said: Said) -> Mapping[str, object]:
        socket.emit("toy:said", {"text": said.text})
        return {"text": said.text, "tier": socket.caller.tier}

    async def weigh(self, _: Socket, sent: bytes) -> Mapping[str, object]:
        return {"bytes": len(sent)}

    async def join(self, socket: Socket, body: Room) -> Mapping[str, object]:
        socket.join(body.room)
        return {}

    async def tell(self, socket: Socket, body: Room) -> Mapping[str, object]:
        told = self.sockets.in_room(socket.caller.user_id, body.room)
        for each in told:
            each.emit("toy:told", {"room": body.room}, b"\x00\x01")
        return {"told": len(told)}

    async def flood(self, socket: Socket, body: Flood) -> Mapping[str, object]:
        async def pour() -> None:
            for number in range(body.count):
                await socket.send("toy:drop", {"number": number, "text": "x" * body.size})

        socket.start(pour())
        return {}

    async def burst(self, socket: Socket, body: Flood) -> Mapping[str, object]:
        for number in range(body.count):
            socket.emit("toy:drop", {"number": number, "text": "x" * body.size})
        return {}

    async def work(self, socket: Socket, _: Nothing) -> Mapping[str, object]:
        return {"thread": await socket.blocking(_thread)}

    async def block(self, _: Socket, __: Nothing) -> Mapping[str, object]:
        time.sleep(0.001)
        return {}

    async def refuse(self, _: Socket, __: Nothing) -> Mapping[str, object]:
        raise NotToday

    async def fail(self, _: Socket, __: Nothing) -> Mapping[str, object]:
        raise RuntimeError("a secret")

    async def hold(self, _: Socket, __: Nothing) -> Mapping[str, object]:
        self.held = True
        return {}

    async def release(self, _: Socket, __: Nothing) -> Mapping[str, object]:
        self.held = False
        return {}

    def drain(self) -> None:
        """metering.parts.Drain"""

    def drained(self) -> bool:
        return not self.held

    def heard(self, payload: str) -> None:
        self._tell_all("toy:heard", payload)

    def reconnected(self) -> None:
        self._tell_all("toy:heard", "reconnected")

    def _tell_all(self, event: str, what: Any) -> None:
        for socket in self.sockets.all():
            socket.emit(event, what)


def _thread() -> str:
    import threading

    time.sleep(0.001)
    return threading.current_thread().name


def _build(_: "Parts", __: object) -> "Built":
    from metering.parts import Built

    toys = Toys()
    events = (
        SocketEvent("toy:echo", Said, toys.echo),
        SocketEvent("toy:weigh", None, toys.weigh, per_second=50, largest=64 * 1024),
        SocketEvent("toy:join", Room, toys.join),
        SocketEvent("toy:tell", Room, toys.tell),
        SocketEvent("toy:flood", Flood, toys.flood),
        SocketEvent("toy:burst", Flood, toys.burst),
        SocketEvent("toy:work", Nothing, toys.work),
        SocketEvent("toy:block", Nothing, toys.block),
        SocketEvent("toy:refuse", Nothing, toys.refuse),
        SocketEvent("toy:fail", Nothing, toys.fail),
        SocketEvent("toy:hold", Nothing, toys.hold),
        SocketEvent("toy:release", Nothing, toys.release),
    )
    return Built(
        drains=(toys,),
        sockets=SocketEvents(
            "toy",
            SOCKETS,
            events,
            started=toys.started,
            heard={NEWS: toys.heard},
            reconnected=toys.reconnected,
        ),
    )


TOY_SOCKETS = Capability(
    name="toy",
    title="Toys that can be talked to.",
    scopes={"toy": "Talk to toys."},
    limits={tier: {"toy": limits} for tier, limits in TOY_LIMITS.items()},
    build=_build,
)
