"""What the routes of the history take and answer."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field

from auth.audit.bodies import Instant
from capabilities.terminal.models import LONGEST_COMMAND, LONGEST_FOLDER, TerminalCommand
from security.api.cursor import ListAnswer, ListQuery
from security.api.models import WHOLE, AnswerBody, Body

MOST_AT_ONCE = 100
LONGEST_QUERY = 200
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _at_most(most: int) -> AfterValidator:
    """`most` is bytes, as the table counts."""

    def check(text: str) -> str:
        if len(text.encode()) > most:
            raise ValueError(f"Enter at most {most:,} bytes in UTF-8")
        return text

    return AfterValidator(check)


def _since_1970(at: datetime) -> datetime:
    if at < EPOCH:
        raise ValueError("Enter a time from 1970 on")
    return at


CommandText = Annotated[str, Field(min_length=1, max_length=LONGEST_COMMAND), _at_most(LONGEST_COMMAND)]
Folder = Annotated[str, Field(max_length=LONGEST_FOLDER), _at_most(LONGEST_FOLDER)]
ExitStatus = Annotated[int, Field(ge=-(2**31), le=2**31 - 1), WHOLE]
Milliseconds = Annotated[int, Field(ge=0, le=2**53), WHOLE]
RanAt = Annotated[Instant, AfterValidator(_since_1970)]


class NewCommand(Body):
    id: UUID
    """Made by your device. A command that you send again under the same ID is stored once."""
    command: CommandText
    """At most 8 KiB. What looks like a password, a token or a key is masked before it is stored."""
    cwd: Folder | None = None
    """The folder in which it ran."""
    session_id: UUID | None = None
    profile_id: UUID | None = None
    exit_status: ExitStatus | None = None
    duration_ms: Milliseconds | None = None
    at: RanAt | None = None
    """When it ran. Default: now, which also stands for a time in the future."""


class NewCommandsBody(Body):
    items: Annotated[list[NewCommand], Field(min_length=1, max_length=MOST_AT_ONCE)]


class AddedCommandsAnswer(AnswerBody):
    added: int
    """How many of them were not in the history."""
    redactions: int
    """How many secrets were masked in what you sent."""


class CommandsQuery(ListQuery):
    q: Annotated[str, Field(min_length=1, max_length=LONGEST_QUERY)] | None = None
    """Only commands that contain this text, in upper or lower case."""
    profile_id: UUID | None = None
    """Only commands that ran with this profile."""


class TerminalCommandAnswer(AnswerBody):
    id: UUID
    command: str
    cwd: str | None
    session_id: UUID | None
    profile_id: UUID | None
    exit_status: int | None
    duration_ms: int | None
    at: datetime


class TerminalCommandsAnswer(ListAnswer):
    commands: list[TerminalCommandAnswer]


def command_answer(row: TerminalCommand) -> TerminalCommandAnswer:
    return TerminalCommandAnswer(
        id=row.id,
        command=row.command,
        cwd=row.cwd,
        session_id=row.session_id,
        profile_id=row.profile_id,
        exit_status=row.exit_status,
        duration_ms=row.duration_ms,
        at=row.at,
    )
