"""The forms of the pages on accounts."""

from datetime import date
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field

from admin.list_filter import LONGEST_NAME
from admin.reason import Reason
from auth.page_sessions.pages import PageQuery
from auth.principal import Role
from auth.tiers import Tier
from security.api.cursor import ListQuery
from security.api.models import FilledIn


def _day(text: object) -> object:
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        raise ValueError("Enter a day such as 2026-12-31") from None


Day = Annotated[date, BeforeValidator(_day)]


class State(StrEnum):
    DISABLED = "disabled"
    UNVERIFIED = "unverified"


class AccountsQuery(PageQuery, ListQuery):
    find: Annotated[str, Field(max_length=LONGEST_NAME)] | None = None
    tier: Tier | None = None
    role: Role | None = None
    state: State | None = None


class TierForm(FilledIn):
    tier: Tier
    until: Day | None = None
    """The tier ends at the start of this day, UTC."""
    reason: Reason


class NoFields(FilledIn):
    pass
