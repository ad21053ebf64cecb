"""What clients do over `/ws/terminal`."""

import asyncio
from importlib import import_module
from typing import Final
from uuid import UUID

from auth.account_state import ACCOUNT_CHANGED
from auth.assembly import Auth
from auth.principal import Principal
from capabilities.terminal.models import CloseReason, SessionState
from capabilities.terminal.plan_limits import FEATURE, TERMINAL_LIMITS
from capabilities.terminal.sessions.bodies import SOCKET_PATH, NewSessionBody
from capabilities.terminal.sessions.claim_session import ClaimedSession, claim_made, claim_session
from capabilities.terminal.sessions.end_session import SESSION_ENDED
from capabilities.terminal.sessions.list_sessions import read_end
from capabilities.terminal.sessions.live_session import LiveSession
from capabilities.terminal.sessions.live_sessions import LiveSessions
from capabilities.terminal.sessions.messages import (
    FROM_SERVER,
    AcceptHostKey,
    Ack,
    Answer,
    Closed,
    ClosedData,
    Connect,
    Input,
    InputAck,
    InputAckData,
    NewShell,
    OfSession,
    Resize,
    Resume,
    SyncChanged,
    SyncData,
    told,
)
from capabilities.terminal.sessions.open_session import open_session
from capabilities.terminal.sessions.problems import NotAttached, NotReady, SessionClosed, SessionTaken, SessionUnknown
from capabilities.terminal.sessions.start_session import SessionStarts
from capabilities.terminal.sync.put_items import SYNC_CHANGED
from metering.socket_error import error_members
from metering.sockets import Socket, SocketClosed, SocketEvent, SocketEvents, Sockets
from security.edge.error_handlers import problem_of
from security.edge.problems import NotFound, ValidationFailed, field_error

SUBPROTOCOL: Final = "mirroros.terminal.v1"
MORE_SOCKETS: Final = 4
"""Than sessions: a device that comes back may not yet be missed where it was before."""
SIGN_IN_SECONDS: Final = 5.0
GONE: Final = "terminal_gone"
"""Kept for a socket that has ended."""
MESSAGES_PER_SECOND: Final = 4000
"""A fast reader acknowledges each 32 KiB of a hundred megabytes a second."""

Told = dict[str, object]
NOTHING: Final[Told] = {}


class TerminalSockets:
    """One per process."""

    def __init__(self, auth: Auth, starts: SessionStarts) -> None:
        self._auth, self._starts = auth, starts
        self.live = LiveSessions(auth)
        self._sockets: Sockets
        self._loaded: asyncio.Task[None]

    def events(self) -> SocketEvents:
        return SocketEvents(
            scope=None,
            page=FEATURE,
            sockets={tier: limits.sessions + MORE_SOCKETS for tier, limits in TERMINAL_LIMITS.items()},
            events=(
                SocketEvent("connect", Connect, self.connect),
                SocketEvent("input", Input, self.input, per_second=MESSAGES_PER_SECOND),
                SocketEvent("resize", Resize, self.resize, per_second=MESSAGES_PER_SECOND),
                SocketEvent("resume", Resume, self.resume),
                SocketEvent("ack", Ack, self.ack, per_second=MESSAGES_PER_SECOND),
                SocketEvent("accept_host_key", AcceptHostKey, self.accept_host_key),
                SocketEvent("answer", Answer, self.answer),
                SocketEvent("detach", OfSession, self.detach),
                SocketEvent("disconnect", OfSession, self.disconnect),
            ),
            told=FROM_SERVER,
            started=self.started,
            heard={
                ACCOUNT_CHANGED: self._account_changed,
                SESSION_ENDED: self._session_ended,
                SYNC_CHANGED: self._synced,
            },
            reconnected=self._reconnected,
            ended=self._ended,
            path=SOCKET_PATH,
            subprotocol=SUBPROTOCOL,
            description=__doc__ or "",
            sign_in_seconds=SIGN_IN_SECONDS,
            metered=True,
        )

    def started(self, sockets: Sockets) -> None:
        self._sockets = sockets
        self.live.started(sockets)
        self._loaded = sockets.start(_load())

    async def connect(self, socket: Socket, body: Connect) -> Told:
        """Raises SessionTaken."""
        live = None if body.session_id is None else self.live.get(socket.caller.user_id, body.session_id)
        if live is None or live.is_closed:
            self._sockets.start(self._open(socket, body))  # not with the socket: what is claimed must be let go of
        elif live.shell is None:
            raise SessionTaken
        else:
            live.take_over(socket)
        return NOTHING

    async def input(self, socket: Socket, body: Input) -> Told:
        live = self._of(socket, body)
        received = live.type(body.data, body.input_seq)
        if body.input_seq is not None and received is not None:
            socket.emit("input_ack", told(InputAck(session_id=live.id, data=InputAckData(input_seq=received))))
        return NOTHING

    async def resize(self, socket: Socket, body: Resize) -> Told:
        self._of(socket, body).resize(body.data.rows, body.data.cols)
        return NOTHING

    async def resume(self, socket: Socket, body: Resume) -> Told:
        """Raises SessionTaken, SeqUnknown."""
        live = self.live.get(socket.caller.user_id, body.session_id)
        if live is None:
            socket.start(self._tell_end(socket, body.session_id))
        elif live.shell is None and not live.is_closed:
            raise SessionTaken
        else:
            live.resume(socket, body.data.after_seq)
        return NOTHING

    async def ack(self, socket: Socket, body: Ack) -> Told:
        viewer = self._of(socket, body).viewer
        if viewer is not None:
            viewer.acknowledge(body.data.seq)
        return NOTHING

    async def accept_host_key(self, socket: Socket, body: AcceptHostKey) -> Told:
        self._of(socket, body).answer(SessionState.AWAITING_HOST_KEY, body.data.fingerprint)
        return NOTHING

    async def answer(self, socket: Socket, body: Answer) -> Told:
        self._of(socket, body).answer(SessionState.AWAITING_SECRET, body.data.text)
        return NOTHING

    async def detach(self, socket: Socket, body: OfSession) -> Told:
        """Raises NotReady."""
        live = self._of(socket, body)
        if live.shell is None:
            raise NotReady
        live.detach()
        return NOTHING

    async def disconnect(self, socket: Socket, body: OfSession) -> Told:
        self._of(socket, body).close(CloseReason.CLIENT)
        return NOTHING

    def _of(self, socket: Socket, body: OfSession) -> LiveSession:
        """Raises NotAttached, and SocketClosed for a session that there is not."""
        live = self.live.get(socket.caller.user_id, body.session_id)
        if live is None:
            self._refuse(socket, SessionUnknown(), body.session_id)
            raise SocketClosed  # or told, which is enough
        if live.socket is not socket:
            raise NotAttached
        return live

    def _refuse(self, socket: Socket, error: Exception, session_id: UUID | None) -> None:
        """A socket that has no session is of no use for one that there is not, and is closed."""
        problem = problem_of(error)
        socket.emit("error", error_members(problem, None if session_id is None else str(session_id)))
        if isinstance(problem, SessionUnknown) and not self.live.of_socket(socket):
            socket.close(4404, "session_unknown")

    async def _open(self, socket: Socket, body: Connect) -> None:
        live: LiveSession | None = None
        try:
            caller = socket.caller
            assert isinstance(caller, Principal)  # API keys do not open terminals
            await self.live.settled()
            claimed = await self._sockets.blocking(self._claim, caller, body)
            live = self._live(socket, caller, claimed, body.data)
            if live.is_closed:
                return
            live.connecting = asyncio.current_task()
            await asyncio.shield(self._loaded)
            await self._starts.start(live, claimed.profile_id, socket)
        except SessionClosed as ended:
            assert body.session_id is not None
            socket.emit("closed", _closed(body.session_id, ended))
        except Exception as error:
            self._refuse(socket, error, body.session_id if live is None else live.id)
            if live is not None:
                live.connecting = None
                live.close(CloseReason.ERROR)
        else:
            live.connecting = None

    def _claim(self, caller: Principal, body: Connect) -> ClaimedSession:
        """Raises SessionUnknown, and what open_session and claim_session raise."""
        now = self._auth.clock()
        if body.session_id is None:
            wanted = _new_session(body.data)
            made = claim_made(caller, wanted.ssh_profile_id, now)
            return made or claim_session(caller, open_session(caller, wanted, now), now)
        try:
            return claim_session(caller, body.session_id, now)
        except NotFound:
            raise SessionUnknown from None

    def _live(self, socket: Socket, caller: Principal, claimed: ClaimedSession, wanted: NewShell) -> LiveSession:
        """Closed already when nobody needs it any more."""
        live = LiveSession(
            id=claimed.id,
            user_id=caller.user_id,
            sign_in=caller.session_id,
            limits=TERMINAL_LIMITS[caller.tier],
            rows=wanted.rows or claimed.rows,
            cols=wanted.cols or claimed.cols,
            changed=self.live.changed,
            socket=socket,
        )
        self.live.add(live)
        if self.live.draining:
            live.close(CloseReason.SERVER_RESTART)
        elif GONE in socket.kept:
            live.close(CloseReason.CLIENT)
        return live

    async def _tell_end(self, socket: Socket, session_id: UUID) -> None:
        """Of a session that is not here."""
        try:
            await self.live.settled()
            ended = await socket.blocking(read_end, socket.caller.user_id, session_id)
        except NotFound:
            self._refuse(socket, SessionUnknown(), session_id)
        except Exception as error:
            self._refuse(socket, error, session_id)
        else:
            socket.emit("closed", _closed(session_id, ended))

    def _ended(self, socket: Socket) -> None:
        """Whoever lost its socket comes back for its shell."""
        socket.kept[GONE] = True
        for live in self.live.of_socket(socket):
            if live.shell is None:
                live.close(CloseReason.CLIENT)
            else:
                live.detach()

    def _account_changed(self, payload: str) -> None:
        self.live.account_changed(UUID(payload.partition(" ")[0]))

    def _session_ended(self, payload: str) -> None:
        self.live.look_up(UUID(payload))

    def _synced(self, payload: str) -> None:
        user_id, revision = payload.split(" ")
        for socket in self._sockets.of_user(UUID(user_id)):
            socket.emit("sync", told(SyncChanged(data=SyncData(revision=int(revision)))))

    def _reconnected(self) -> None:
        """Anything may have happened: sessions ended by a call, devices signed out."""
        self.live.look_up_all()
        self.live.account_changed(None)


async def _load() -> None:
    """asyncssh, a quarter of a second: at the start of the process, and beside the loop."""
    await asyncio.to_thread(import_module, "capabilities.terminal.sessions.shell")


def _new_session(data: NewShell) -> NewSessionBody:
    """Raises ValidationFailed."""
    if data.session_type == "ssh" and data.ssh_profile_id is None:
        raise ValidationFailed(
            [field_error(["data", "ssh_profile_id"], "missing", "Send the ID of one of your SSH profiles")]
        )
    return NewSessionBody(**data.model_dump(exclude_none=True))


def _closed(session_id: UUID, ended: SessionClosed) -> Told:
    data = ClosedData(reason=ended.reason, exit_status=ended.exit_status, signal=None)
    return told(Closed(session_id=session_id, data=data))
