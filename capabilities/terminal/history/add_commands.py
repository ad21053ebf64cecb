"""Adding commands to the history. Secrets are masked here, before anything is stored."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from auth.account_change import hold_account
from capabilities.terminal.history.bodies import AddedCommandsAnswer, NewCommand
from capabilities.terminal.models import LONGEST_COMMAND, LONGEST_FOLDER, TerminalCommand
from database import transaction
from security.edge.problems import ValidationFailed, field_error
from security.secrets.hide_secrets import hide_secrets

MOST_COMMANDS: Final = 10_000
"""Of one user. The oldest ones go, as they do in a shell."""


def add_commands(user_id: UUID, items: Sequence[NewCommand], now: datetime) -> AddedCommandsAnswer:
    """Of those with the same ID the first one stays. Raises ValidationFailed for what is too long once its secrets are masked."""
    rows, redactions = _without_secrets(user_id, items, now)
    with transaction() as session:
        hold_account(session, user_id)
        new = insert(TerminalCommand).values(list(rows.values())).on_conflict_do_nothing()
        added = session.scalars(new.returning(TerminalCommand.id)).all()
        _drop_oldest(session, user_id)
    return AddedCommandsAnswer(added=len(added), redactions=redactions)


def _without_secrets(
    user_id: UUID, items: Sequence[NewCommand], now: datetime
) -> tuple[dict[UUID, dict[str, Any]], int]:
    """Rows by their IDs, and how many secrets were masked."""
    rows: dict[UUID, dict[str, Any]] = {}
    redactions, errors = 0, []
    for number, item in enumerate(items):
        command, folder = hide_secrets(item.command), hide_secrets(item.cwd or "")
        redactions += command.count + folder.count
        for name, text, most in (("command", command.text, LONGEST_COMMAND), ("cwd", folder.text, LONGEST_FOLDER)):
            if len(text.encode()) > most:
                # Not cut: whoever runs it again would run something else.
                message = f"This has more than {most:,} bytes once its secrets are masked"
                errors.append(field_error(["items", number, name], "too_long", message))
        row = {
            **item.model_dump(),
            "user_id": user_id,
            "command": command.text,
            "cwd": None if item.cwd is None else folder.text,
            "at": now if item.at is None else min(item.at, now),
        }
        rows.setdefault(item.id, row)
    if errors:
        raise ValidationFailed(errors)
    return rows, redactions


def _drop_oldest(session: Session, user_id: UUID) -> None:
    place = (TerminalCommand.at, TerminalCommand.id)
    mine = TerminalCommand.user_id == user_id
    newest_first = select(*place).where(mine).order_by(*(column.desc() for column in place))
    one_too_many = session.execute(newest_first.offset(MOST_COMMANDS).limit(1)).one_or_none()
    if one_too_many is not None:
        session.execute(delete(TerminalCommand).where(mine, tuple_(*place) <= tuple_(*one_too_many)))
