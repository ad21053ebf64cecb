"""What the packages above `auth` hold about a user, for exports, for closing an account and for purging it.

They hand in their functions where the application is put together, so that `auth` knows none of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Executable
from sqlalchemy.orm import InstrumentedAttribute, Session

from database.base import Base


def _nothing_to_end(_session: Session, _user_id: UUID, _now: datetime) -> Sequence[str]:
    return ()


def _nothing_to_erase(_session: Session, _user_id: UUID) -> int:
    return 0


@dataclass(frozen=True)
class PersonalData:
    """One package's part. Everything runs in the caller's transaction and calls no other server.

    `export` gives JSON values (and dates and UUIDs). `close` ends what goes on costing the user money when the account is closed,
    and names where the user must do that himself. `erase` deletes a portion of what is held and says how many rows that
    were; it is called until it says 0. Tables that hang on the user's row by a foreign key need no `erase`.
    """

    name: str
    export: Callable[[Session, UUID], dict[str, Any]]
    close: Callable[[Session, UUID, datetime], Sequence[str]] = _nothing_to_end
    erase: Callable[[Session, UUID], int] = _nothing_to_erase

    @classmethod
    def when_needed(cls, name: str, load: "Callable[[], PersonalData]") -> "PersonalData":
        """One whose functions are imported by the first export, closing or purge."""
        return cls(
            name,
            export=lambda session, user_id: load().export(session, user_id),
            close=lambda session, user_id, now: load().close(session, user_id, now),
            erase=lambda session, user_id: load().erase(session, user_id),
        )


def columns_of(table: type[Base], names: str) -> list[InstrumentedAttribute[Any]]:
    """What an export has of a table: `names` with blanks between them. A column that is not named is in none."""
    return [getattr(table, name) for name in names.split()]


def rows_of(session: Session, query: Executable) -> list[dict[str, Any]]:
    """Each row as column name to value."""
    return [dict(row) for row in session.execute(query).mappings()]
