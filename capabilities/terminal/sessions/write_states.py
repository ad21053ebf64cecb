"""Writing down what sessions do: behind them, so that no session waits for PostgreSQL, and none ends when it is gone."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from auth.assembly import Auth
from auth.audit.record import record
from capabilities.terminal.models import CloseReason, SessionState, TerminalSession
from capabilities.terminal.sessions.live_session import LiveSession
from database import transaction
from metering.sockets import Sockets

AGAIN_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Snapshot:
    """A session at some moment. `was_open`: a shell was shown to somebody."""

    id: UUID
    user_id: UUID
    state: SessionState
    was_open: bool
    rows: int
    cols: int
    last_seq: int
    bytes_in: int
    close_reason: CloseReason | None
    exit_status: int | None


class StateWriter:
    """Of a session that changes faster than it can be written, the last state is. `closed_elsewhere`: by a call of the API."""

    def __init__(self, auth: Auth, closed_elsewhere: Callable[[UUID, CloseReason], None]) -> None:
        self._auth, self._closed_elsewhere = auth, closed_elsewhere
        self._waiting: dict[UUID, LiveSession] = {}
        self._something = asyncio.Event()
        self._writing = False

    @property
    def is_done(self) -> bool:
        return not self._waiting and not self._writing

    def changed(self, live: LiveSession) -> None:
        self._waiting[live.id] = live
        self._something.set()

    async def run(self, sockets: Sockets) -> None:
        """For ever. What cannot be written is tried again."""
        while True:
            await self._something.wait()
            self._something.clear()
            waiting, self._waiting = self._waiting, {}
            self._writing = True
            failed = [live for live in waiting.values() if not await self._write(sockets, live)]
            for live in failed:
                self._waiting.setdefault(live.id, live)
            self._writing = False
            if failed:
                self._something.set()
                await asyncio.sleep(AGAIN_SECONDS)

    async def _write(self, sockets: Sockets, live: LiveSession) -> bool:
        now_is = snapshot_of(live)
        try:
            reason = await sockets.blocking(write_state, self._auth, now_is)
        except Exception as error:  # of one session, which must not keep the others from being written
            structlog.get_logger().warning("terminal_state_not_written", session=live.id, cause=type(error).__name__)
            return False
        else:
            if reason is not None:
                self._closed_elsewhere(live.id, reason)
            return True
        finally:
            if now_is.state is SessionState.CLOSED:
                live.end_was_written()


def snapshot_of(live: LiveSession) -> Snapshot:
    return Snapshot(
        id=live.id,
        user_id=live.user_id,
        state=live.state,
        was_open=live.shell is not None,
        rows=live.rows,
        cols=live.cols,
        last_seq=live.ring.end,
        bytes_in=live.bytes_in,
        close_reason=live.close_reason,
        exit_status=None if live.end is None else live.end.status,
    )


def write_state(auth: Auth, now_is: Snapshot) -> CloseReason | None:
    """Returns why it was closed by somebody else, if it was. What is closed stays as it is."""
    now = auth.clock()
    with transaction() as session:
        row = session.get(TerminalSession, now_is.id, with_for_update=True)
        if row is None:
            return CloseReason.ADMIN  # the account was purged
        opens = now_is.was_open and row.opened_at is None
        if opens:
            row.opened_at = now
            _record(auth, session, now_is, "terminal_session_opened")
        if row.close_reason is not None:
            if opens:
                _record(auth, session, now_is, "terminal_session_closed", reason=row.close_reason)
            return CloseReason(row.close_reason)
        row.state, row.rows, row.cols = now_is.state, now_is.rows, now_is.cols
        row.last_seq = row.bytes_out = now_is.last_seq
        row.bytes_in = now_is.bytes_in
        row.detached_at = (row.detached_at or now) if now_is.state is SessionState.DETACHED else None
        if now_is.close_reason is not None:
            row.closed_at, row.close_reason, row.exit_status = now, now_is.close_reason, now_is.exit_status
            if now_is.was_open:
                _record(auth, session, now_is, "terminal_session_closed", reason=now_is.close_reason.value)
    return None


def _record(auth: Auth, session: Session, of: Snapshot, event: str, **detail: Any) -> None:
    record(session, event, auth.clock(), user_id=of.user_id, terminal_session_id=str(of.id), **detail)
