"""What every list of the dashboard is filtered by: whose rows, and where the page begins."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BeforeValidator, Field, WithJsonSchema

from admin.accounts.find import account_named
from auth.page_sessions.pages import PageQuery
from auth.principal import Principal, Role
from security.api.cursor import ListQuery

MINUTE = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?")
LONGEST_NAME = 254


def _utc_minute(text: object) -> object:
    if not isinstance(text, str) or MINUTE.fullmatch(text) is None:
        raise ValueError("Enter a date and time such as 2026-01-31T12:00")
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


UtcMinute = Annotated[AwareDatetime, BeforeValidator(_utc_minute), WithJsonSchema({"type": "string"})]
"""As `<input type="datetime-local">` sends it; it is read as UTC."""


class ListFilter(PageQuery, ListQuery):
    """`account` is an e-mail address or an id."""

    account: Annotated[str, Field(max_length=LONGEST_NAME)] | None = None


@dataclass(frozen=True)
class Whose:
    """Whose rows are listed; all accounts' where `user_id` is None. `hint`: why none are, in words."""

    user_id: UUID | None
    hint: str | None = None


def whose(caller: Principal, named: str | None) -> Whose:
    """Admins see all accounts. Support staff see one account at a time, so they name it."""
    if named is None:
        return Whose(
            None, None if caller.role.includes(Role.ADMIN) else "Enter an account. Support sees one at a time."
        )
    user_id = account_named(named)
    return Whose(user_id, "No account uses this e-mail address." if user_id is None else None)
