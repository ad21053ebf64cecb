"""What the routes of sessions take and answer."""

from datetime import datetime
from typing import Annotated, Final, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from auth.bodies import Name
from capabilities.terminal.models import CloseReason, SessionState, TerminalSession
from security.api.cursor import ListAnswer
from security.api.models import WHOLE, AnswerBody, Body

SOCKET_PATH: Final = "/ws/terminal"
MOST_LINES = 500

Rows = Annotated[int, Field(ge=1, le=MOST_LINES), WHOLE]
Cols = Annotated[int, Field(ge=1, le=MOST_LINES), WHOLE]


class NewSessionBody(Body):
    session_type: Literal["ssh", "local"]
    """`ssh`. A shell on the server of this API (`local`) is not offered."""
    ssh_profile_id: UUID | None = None
    """One of your SSH profiles. Needed with `ssh`."""
    name: Name | None = None
    """What you call it."""
    rows: Rows = 24
    cols: Cols = 80

    @model_validator(mode="after")
    def _has_profile_if_ssh(self) -> Self:
        if self.session_type == "ssh" and self.ssh_profile_id is None:
            raise ValueError("Send ssh_profile_id with the session_type ssh")
        return self


class TerminalSessionAnswer(AnswerBody):
    id: UUID
    state: SessionState
    """`created`: nobody has connected yet. `detached`: it goes on, and no device has it. `closed` is the end."""
    name: str | None
    session_type: Literal["ssh"] = "ssh"
    ssh_profile_id: UUID | None
    """Null if the profile was deleted."""
    rows: int
    cols: int
    last_seq: int
    """Bytes of output so far. It may be a moment behind while output comes."""
    bytes_in: int
    bytes_out: int
    created_at: datetime
    opened_at: datetime | None
    """When the server let you in."""
    detached_at: datetime | None
    """Since when no device has it. Null while one has."""
    closed_at: datetime | None
    close_reason: CloseReason | None
    """Null while it is open."""
    exit_status: int | None
    """Of the shell, if it ended by itself."""
    ws_url: str
    """Where to open the socket."""


class TerminalSessionsAnswer(ListAnswer):
    sessions: list[TerminalSessionAnswer]


def socket_address(sockets_url: str) -> str:
    return f"ws{sockets_url.removeprefix('http')}{SOCKET_PATH}"


def session_answer(row: TerminalSession, ws_url: str) -> TerminalSessionAnswer:
    return TerminalSessionAnswer(
        id=row.id,
        state=SessionState(row.state),
        name=row.name,
        ssh_profile_id=row.profile_id,
        rows=row.rows,
        cols=row.cols,
        last_seq=row.last_seq,
        bytes_in=row.bytes_in,
        bytes_out=row.bytes_out,
        created_at=row.created_at,
        opened_at=row.opened_at,
        detached_at=row.detached_at,
        closed_at=row.closed_at,
        close_reason=None if row.close_reason is None else CloseReason(row.close_reason),
        exit_status=row.exit_status,
        ws_url=ws_url,
    )
