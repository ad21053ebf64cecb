"""A session beside a shell and sockets that only write down what happens to them, and a clock that is set by hand."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar, TypeVarTuple, Unpack
from uuid import UUID, uuid4

from auth.principal import Principal
from auth.tiers import Tier
from capabilities.terminal.plan_limits import TERMINAL_LIMITS
from capabilities.terminal.sessions.live_session import LiveSession, Server

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


@dataclass(eq=False)
class RecordedSocket:
    """metering.sockets.Socket. While `takes` is not set nobody reads."""

    user_id: UUID
    id: str = "socket"
    kept: dict[str, Any] = field(default_factory=dict)
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    takes: asyncio.Event = field(default_factory=asyncio.Event)
    session_id: UUID = field(default_factory=uuid4)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def caller(self) -> Principal:
        return Principal(self.user_id, self.session_id, Tier.FREE, None)

    def emit(self, event: str, *payload: Any) -> None:
        self.told.append((event, dict(payload[0])))

    async def send(self, event: str, *payload: Any) -> None:
        await self.takes.wait()
        self.emit(event, *payload)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.append(task)
        return task

    async def blocking(self, work: Callable[[Unpack[Arguments]], Result], *arguments: *Arguments) -> Result:
        return work(*arguments)

    def close(self, code: int, reason: str) -> None:
        self.told.append(("close", {"code": code, "reason": reason}))

    def join(self, room: str) -> None: ...

    def leave(self, room: str) -> None: ...

    def joined(self, room: str) -> bool:
        return False

    @property
    def output(self) -> str:
        return "".join(fields["data"] for event, fields in self.told if event == "output")

    def last(self, event: str) -> dict[str, Any]:
        return [fields for name, fields in self.told if name == event][-1]

    async def hears(self, output: str) -> None:
        """Waits until that is what it was sent."""
        async with asyncio.timeout(10):
            while self.output != output:
                await asyncio.sleep(0.001)

    def names(self) -> list[str]:
        return [name for name, _ in self.told]


class RecordedShell:
    """sessions.shell.Shell"""

    def __init__(self) -> None:
        self.is_full = False
        self.paused = False
        self.hung_up = False
        self.written = b""
        self.sizes: list[tuple[int, int]] = []

    def write(self, data: bytes) -> None:
        self.written += data

    def resize(self, rows: int, cols: int) -> None:
        self.sizes.append((rows, cols))

    def pause(self, paused: bool) -> None:
        self.paused = paused

    def hang_up(self) -> None:
        self.hung_up = True


@dataclass
class LoneSession:
    """`live` is not open yet."""

    tier: Tier = Tier.FREE
    time: float = 1000.0
    user_id: UUID = field(default_factory=uuid4)
    states: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.socket, self.shell = self.another_socket(), RecordedShell()
        self.live = LiveSession(
            id=uuid4(),
            user_id=self.user_id,
            sign_in=uuid4(),
            limits=TERMINAL_LIMITS[self.tier],
            rows=24,
            cols=80,
            changed=self._write,
            now=lambda: self.time,
            socket=self.socket,
        )

    def _write(self, live: LiveSession) -> None:
        self.states.append(live.state)
        if live.is_closed:
            asyncio.get_running_loop().call_soon(live.end_was_written)

    def another_socket(self) -> RecordedSocket:
        socket = RecordedSocket(self.user_id)
        socket.takes.set()
        return socket

    def open(self) -> LiveSession:
        self.live.opened(self.socket, self.shell, Server("SSH-2.0-lone", "SHA256:lone"))  # type: ignore[arg-type]
        return self.live

    def pass_seconds(self, seconds: float) -> None:
        self.time += seconds
        self.live.look()


async def a_moment() -> None:
    """For everything that waits for nothing."""
    for _ in range(10):
        await asyncio.sleep(0)
