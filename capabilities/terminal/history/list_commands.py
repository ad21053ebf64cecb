"""The history by pages, the newest command first."""

from uuid import UUID

from sqlalchemy import select, tuple_

from capabilities.terminal.history.bodies import CommandsQuery, TerminalCommandsAnswer, command_answer
from capabilities.terminal.models import TerminalCommand
from database import reading
from database.pages import page_of
from security.edge.problems import ValidationFailed, field_error


def list_commands(user_id: UUID, wanted: CommandsQuery) -> TerminalCommandsAnswer:
    """Raises ValidationFailed for a cursor whose command is not in the history any more."""
    place = (TerminalCommand.at, TerminalCommand.id)
    mine = select(TerminalCommand).where(TerminalCommand.user_id == user_id)
    query = mine.order_by(*(column.desc() for column in place)).limit(wanted.limit + 1)
    if wanted.q is not None:
        query = query.where(TerminalCommand.command.icontains(wanted.q, autoescape=True))
    if wanted.profile_id is not None:
        query = query.where(TerminalCommand.profile_id == wanted.profile_id)
    with reading() as session:
        if wanted.cursor is not None:
            # Devices make the IDs, so they say nothing about the order.
            last = session.scalars(mine.where(TerminalCommand.id == wanted.cursor)).one_or_none()
            if last is None:
                raise ValidationFailed([field_error(["cursor"], "unknown_cursor", "Begin this list again")])
            query = query.where(tuple_(*place) < tuple_(last.at, last.id))
        page = page_of(list(map(command_answer, session.scalars(query))), wanted.limit)
    return TerminalCommandsAnswer(commands=list(page.items), next_cursor=page.next_cursor)
