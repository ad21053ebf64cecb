"""All sessions of this process."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from time import monotonic
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import select

from auth.assembly import Auth
from auth.models import AuthSession
from capabilities.terminal.models import CloseReason
from capabilities.terminal.sessions.close_left import close_left
from capabilities.terminal.sessions.live_session import LiveSession
from capabilities.terminal.sessions.write_states import StateWriter
from database import reading
from metering.sockets import Socket, Sockets
from security.edge.problems import TooBusy

LOOK_SECONDS: Final = 1.0
COUNTS_SECONDS: Final = 30
"""How often rows learn how much was written and read."""
AGAIN_SECONDS: Final = 2.0
SETTLED_SECONDS: Final = 5.0
NOTHING_SECONDS: Final = 300.0
NOTHING_SINCE: Final = "terminal_nothing_since"
"""Since when a socket has no session, on the monotonic clock."""


class LiveSessions:
    """metering.parts.Drain: when the process is to end, all sessions do."""

    def __init__(self, auth: Auth) -> None:
        self._auth = auth
        self.draining = False
        self._by_id: dict[UUID, LiveSession] = {}
        self._rows: StateWriter | None = None
        self._sockets: Sockets
        self._settled: asyncio.Event

    def __len__(self) -> int:
        return len(self._by_id)

    def started(self, sockets: Sockets) -> None:
        self._sockets, self._settled = sockets, asyncio.Event()
        self._rows = StateWriter(self._auth, self.closed_elsewhere)
        for work in (self._rows.run(sockets), self._close_left(), self._look()):
            sockets.start(work)

    def add(self, live: LiveSession) -> None:
        self._by_id[live.id] = live

    def get(self, user_id: UUID, session_id: UUID) -> LiveSession | None:
        live = self._by_id.get(session_id)
        return live if live is not None and live.user_id == user_id else None

    def of_socket(self, socket: Socket) -> list[LiveSession]:
        return [live for live in self._by_id.values() if live.socket is socket]

    def changed(self, live: LiveSession) -> None:
        assert self._rows is not None
        self._rows.changed(live)

    def closed_elsewhere(self, session_id: UUID, reason: CloseReason) -> None:
        if (live := self._by_id.get(session_id)) is not None:
            live.close(reason)

    def look_up(self, session_id: UUID) -> None:
        """Its row was closed, or might have been. Writing it finds out."""
        if (live := self._by_id.get(session_id)) is not None and not live.is_closed:
            self.changed(live)

    def look_up_all(self) -> None:
        for live in self._by_id.values():
            self.look_up(live.id)

    def account_changed(self, user_id: UUID | None) -> None:
        """Sessions of whoever may no longer sign in are closed, looked at or not. None: of anybody."""
        self._sockets.start(self._close_revoked(user_id))

    async def settled(self) -> None:
        """When sessions that the process before left are closed. Raises TooBusy."""
        try:
            async with asyncio.timeout(SETTLED_SECONDS):
                await self._settled.wait()
        except TimeoutError:
            raise TooBusy("The server is starting. Try again in a moment") from None

    def drain(self) -> None:
        self.draining = True
        for live in list(self._by_id.values()):
            live.close(CloseReason.SERVER_RESTART)

    def drained(self) -> bool:
        return (self._rows is None or self._rows.is_done) and all(
            live.viewer is None or live.viewer.finished for live in self._by_id.values()
        )

    async def _look(self) -> None:
        seconds = 0
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            seconds += 1
            self._look_at_sockets()
            for live in list(self._by_id.values()):
                live.look()
                if live.is_over:
                    del self._by_id[live.id]
                elif seconds % COUNTS_SECONDS == 0:
                    self.look_up(live.id)

    def _look_at_sockets(self) -> None:
        """A socket that nothing is open on is closed after some minutes."""
        now, used = monotonic(), {live.socket for live in self._by_id.values()}
        for socket in self._sockets.all():
            if socket in used:
                socket.kept.pop(NOTHING_SINCE, None)
            elif now - socket.kept.setdefault(NOTHING_SINCE, now) >= NOTHING_SECONDS:
                socket.close(4408, "idle")

    async def _close_left(self) -> None:
        """Sessions of the process before this one have ended with it."""
        while True:
            try:
                closed = await self._sockets.blocking(close_left, list(self._by_id), self._auth.clock())
            except Exception as error:  # PostgreSQL may come later than this process
                structlog.get_logger().warning("terminal_sessions_left_open", cause=type(error).__name__)
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                structlog.get_logger().info("terminal_sessions_closed", left_by="the process before", count=closed)
                self._settled.set()
                return

    async def _close_revoked(self, user_id: UUID | None) -> None:
        """What is not known now is asked again with the next change."""
        sign_ins: dict[UUID, list[LiveSession]] = defaultdict(list)
        for live in self._by_id.values():
            if not live.is_closed and user_id in {None, live.user_id}:
                sign_ins[live.sign_in].append(live)
        if not sign_ins:
            return
        ended = await self._sockets.blocking(_ended, list(sign_ins))
        for live in (live for sign_in in ended for live in sign_ins[sign_in]):
            live.close(CloseReason.REVOKED)


def _ended(sign_ins: Sequence[UUID]) -> set[UUID]:
    """Those that were ended before their time. One that was signed out of, or whose account is disabled, is."""
    with reading() as session:
        lives = select(AuthSession.id).where(AuthSession.id.in_(sign_ins), AuthSession.revoked_at.is_(None))
        return set(sign_ins) - set(session.scalars(lives))
