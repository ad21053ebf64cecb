"""One session while its process lives: a shell, its last output, and the socket that looks at it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from auth.principal import Principal
from capabilities.terminal.models import CloseReason, SessionState
from capabilities.terminal.plan_limits import TerminalLimits
from capabilities.terminal.sessions.messages import (
    Closed,
    ClosedData,
    Connected,
    ConnectedData,
    Detached,
    Resumed,
    ResumedData,
    Warned,
    WarningData,
    told,
)
from capabilities.terminal.sessions.problems import (
    InputFull,
    InputGap,
    NothingAsked,
    NotReady,
    OtherHostKey,
    SeqUnknown,
)
from capabilities.terminal.sessions.ring import Ring
from capabilities.terminal.sessions.viewer import Viewer
from metering.sockets import Socket

if TYPE_CHECKING:
    from capabilities.terminal.sessions.shell import Shell, ShellEnd

IDLE_SECONDS: Final = 3600
WARNED_SECONDS: Final = 300
"""Before a session is closed for its age or because nothing happens."""
KEPT_SECONDS: Final = 300
"""After its end, for whoever was away and comes back for the last output."""
REPAINT_SECONDS: Final = 0.1
"""Between two sizes. Programs that are told of both at once may take them for none."""


@dataclass(frozen=True)
class Server:
    """What the server said of itself."""

    version: str
    fingerprint: str


@dataclass(frozen=True)
class _Question:
    answer: asyncio.Future[str] = field(repr=False)
    expected: str | None


@dataclass(eq=False)
class LiveSession:
    """shell.Display. `changed`: its row is to be written. Everything happens on the loop of the sockets.

    Until it is active it belongs to the socket that opened it, and ends with it. Then a socket is only who looks: without one the
    shell runs on for the plan's `resume_minutes`, and what it prints falls out of the ring at last.
    """

    id: UUID
    user_id: UUID
    sign_in: UUID
    """The sign-in session of whoever had it last."""
    limits: TerminalLimits
    rows: int
    cols: int
    changed: "Callable[[LiveSession], None]"
    now: Callable[[], float] = monotonic
    state: SessionState = SessionState.CONNECTING
    close_reason: CloseReason | None = None
    end: "ShellEnd | None" = None
    ring: Ring = field(default_factory=Ring)
    socket: Socket | None = None
    """Which has it."""
    viewer: Viewer | None = None
    bytes_in: int = 0
    input_seq: int | None = None

    def __post_init__(self) -> None:
        self.shell: Shell | None = None
        self.server = Server("", "")
        self._question: _Question | None = None
        self.connecting: asyncio.Task[None] | None = None
        self._opened = self._active = self.now()
        self._detached: float | None = None
        self._closed_at: float | None = None
        self._end_was_written = False
        self._warned: set[str] = set()

    @property
    def text_id(self) -> str:
        return str(self.id)

    @property
    def is_closed(self) -> bool:
        return self.state is SessionState.CLOSED

    def becomes(self, state: SessionState) -> None:
        if not self.is_closed and state is not self.state:
            self.state = state
            self.changed(self)

    async def answer_to(self, state: SessionState, *, expected: str | None = None) -> str:
        """Waits, in that state, for what the user answers. `expected`: the one answer that counts."""
        question = _Question(asyncio.get_running_loop().create_future(), expected)
        self._question = question
        self.becomes(state)
        try:
            return await question.answer
        finally:
            self._question = None

    def answer(self, state: SessionState, text: str) -> None:
        """Raises NothingAsked, OtherHostKey."""
        if self._question is None or self.state is not state or self._question.answer.done():
            raise NothingAsked
        if self._question.expected is not None and self._question.expected != text:
            raise OtherHostKey
        self._question.answer.set_result(text)

    def opened(self, socket: Socket, shell: "Shell", server: Server) -> None:
        self.shell, self.server = shell, server
        self._opened = self._active = self.now()
        socket.emit("connected", told(self._connected(0)))
        self._attach(socket, 0)
        if self.end is not None:
            self._shell_is_over(self.end)

    def take_over(self, socket: Socket) -> None:
        socket.emit("connected", told(self._connected(self.ring.end)))
        self._attach(socket, self.ring.end)

    def resume(self, socket: Socket, after: int) -> None:
        """Raises SeqUnknown."""
        if after > self.ring.end:
            raise SeqUnknown
        start = after if after >= self.ring.start else self.ring.character_from(self.ring.start)
        resumed = ResumedData(from_seq=start, input_seq=self.input_seq or 0, missed=start - after)
        socket.emit("resumed", told(Resumed(session_id=self.id, data=resumed)))
        self._attach(socket, start)
        if start > after and self.shell is not None:
            self._repaint(self.shell)

    def detach(self) -> None:
        """Nobody looks any more. What runs goes on."""
        self._stop_viewer()
        self.socket = None
        self._detached = self.now()
        self.becomes(SessionState.DETACHED)
        self._flow()

    def type(self, text: str, seq: int | None) -> int | None:
        """Returns up to which input it has everything. Raises NotReady, InputFull, InputGap."""
        if self.shell is None or self.is_closed:
            raise NotReady
        if seq is not None and self.input_seq is not None:
            if seq <= self.input_seq:
                return self.input_seq
            if seq > self.input_seq + 1:
                raise InputGap
        if self.shell.is_full:
            raise InputFull
        data = text.encode()
        self._touch()
        self.bytes_in += len(data)
        self.input_seq = self.input_seq if seq is None else seq
        if self.viewer is not None:
            self.viewer.typed()
        self.shell.write(data)
        return self.input_seq

    def resize(self, rows: int, cols: int) -> None:
        self.rows, self.cols = rows, cols
        if self.shell is not None:
            self.shell.resize(rows, cols)
        self.changed(self)

    def output(self, data: bytes) -> None:
        self._touch()
        self.ring.add(data)
        if self.viewer is not None:
            self.viewer.output_came()
            self._flow()

    def shell_ended(self, end: "ShellEnd") -> None:
        self.end = end
        if self.shell is not None:  # or it ended before anybody could see its last words
            self._shell_is_over(end)

    def close(self, reason: CloseReason) -> None:
        """Once, for whichever reason is first."""
        if self.is_closed:
            return
        self.close_reason, self._closed_at = reason, self.now()
        self.becomes(SessionState.CLOSED)
        if self.connecting is not None:
            self.connecting.cancel()
        if self.shell is not None:
            self.shell.hang_up()

    def end_was_written(self) -> None:
        """Or could not be. Now this one counts no more, and whoever is told of its end may open another at once."""
        if self._end_was_written:
            return
        self._end_was_written = True
        if self.viewer is not None:
            self.viewer.finish(self._closed())
        elif self.socket is not None:
            self.socket.emit("closed", self._closed())

    def look(self) -> None:
        """Closes it when its time is over, and warns before. Called every second."""
        if self.shell is None or self.is_closed:
            return
        now = self.now()
        if self._detached is not None and now - self._detached >= self.limits.resume_minutes * 60:
            self.close(CloseReason.DETACHED_TOO_LONG)
        self._count_down("limit_soon", CloseReason.EXPIRED, self._opened + self.limits.longest_hours * 3600 - now)
        self._count_down("idle_soon", CloseReason.IDLE, self._active + IDLE_SECONDS - now)

    @property
    def is_over(self) -> bool:
        """Closed, and nobody needs it any more."""
        if self._closed_at is None:
            return False
        if (self.shell is None and self._end_was_written) or (self.viewer is not None and self.viewer.finished):
            return True
        return self.now() - self._closed_at >= KEPT_SECONDS

    def _attach(self, socket: Socket, place: int) -> None:
        """Shows it there and nowhere else, from that place of the output on."""
        if self.socket is not None and self.socket is not socket:
            self.socket.emit("detached", told(Detached(session_id=self.id)))
        self._stop_viewer()
        self.socket = socket
        if isinstance(socket.caller, Principal):  # API keys open no terminals
            self.sign_in = socket.caller.session_id
        self.viewer = Viewer(self.text_id, socket, self.ring, place, self._flow)
        self._detached = None
        self.becomes(SessionState.ACTIVE)
        self._flow()
        if self._end_was_written:
            self.viewer.finish(self._closed())

    def _shell_is_over(self, end: "ShellEnd") -> None:
        self.close(CloseReason.HOST_LOST if end.lost else CloseReason.EXIT)

    def _connected(self, place: int) -> Connected:
        data = ConnectedData(
            rows=self.rows,
            cols=self.cols,
            seq=place,
            server_version=self.server.version,
            fingerprint=self.server.fingerprint,
            grace_seconds=self.limits.resume_minutes * 60,
            input_seq=self.input_seq or 0,
        )
        return Connected(session_id=self.id, data=data)

    def _closed(self) -> dict[str, Any]:
        assert self.close_reason is not None
        status, signal = (None, None) if self.end is None else (self.end.status, self.end.signal)
        data = ClosedData(reason=self.close_reason, exit_status=status, signal=signal)
        return told(Closed(session_id=self.id, data=data))

    def _flow(self) -> None:
        """A shell whose viewer is behind waits. Without a viewer none does."""
        if self.shell is not None:
            self.shell.pause(self.viewer is not None and self.viewer.is_behind)

    def _touch(self) -> None:
        self._active = self.now()
        self._warned.discard("idle_soon")

    def _count_down(self, code: Any, reason: CloseReason, left: float) -> None:
        if left <= 0:
            self.close(reason)
        elif left <= WARNED_SECONDS and code not in self._warned and self.viewer is not None:
            self._warned.add(code)
            warning = Warned(session_id=self.id, data=WarningData(code=code, seconds=round(left)))
            self.viewer.socket.emit("warning", told(warning))

    def _stop_viewer(self) -> None:
        if self.viewer is not None:
            self.viewer.stop()
            self.viewer = None

    def _repaint(self, shell: "Shell") -> None:
        """Full-screen programs paint anew when the size changes, and some bytes of what they painted are missing."""
        shell.resize(self.rows - 1 if self.rows > 1 else 2, self.cols)
        asyncio.get_running_loop().call_later(REPAINT_SECONDS, lambda: shell.resize(self.rows, self.cols))
