"""Statements as the staff see them: with whose they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

from admin.accounts.find import addresses_of
from admin.listed import Listed
from database.pages import Page
from payments.billing.read import Line, Period, Wanted, lines_of, list_periods, read_period

MOST_LINES = 200


def list_statements(wanted: Wanted, cursor: UUID | None, limit: int) -> Page[Listed[Period]]:
    """Newest month first."""
    page = list_periods(wanted, cursor, limit)
    addresses = addresses_of({each.user_id for each in page.items})
    return Page([Listed(each.id, each, addresses.get(each.user_id)) for each in page.items], page.next_cursor)


@dataclass(frozen=True)
class StatementDetail:
    """`lines`: the first of them; `has_more` when there are others."""

    period: Period
    email: str | None
    lines: Sequence[Line]
    has_more: bool


def read_statement(period_id: UUID) -> StatementDetail:
    """Raises NotFound."""
    period = read_period(period_id)
    lines = list(islice(lines_of(period), MOST_LINES + 1))
    email = addresses_of({period.user_id}).get(period.user_id)
    return StatementDetail(period, email, lines[:MOST_LINES], len(lines) > MOST_LINES)
