"""The filters and forms of statements."""

from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from admin.list_filter import ListFilter
from admin.reason import Reason
from payments.billing.give_credit import LARGEST_CREDIT
from payments.billing.months import MONTH
from payments.billing.state import PeriodState
from security.api.models import FilledIn


def _month(text: object) -> object:
    if not isinstance(text, str) or MONTH.fullmatch(text) is None:
        raise ValueError("Enter a month such as 2026-11")
    return text


MonthName = Annotated[str, BeforeValidator(_month), WithJsonSchema({"type": "string", "pattern": f"^{MONTH.pattern}$"})]
"""A UTC month as statements are named by."""


def _cents(text: object) -> object:
    try:
        cents = Decimal(str(text)) * 100
        if cents == cents.to_integral_value():
            return int(cents)
    except (InvalidOperation, OverflowError, ValueError):
        pass
    raise ValueError("Enter an amount such as 12.50")


Amount = Annotated[int, Field(ge=1, le=LARGEST_CREDIT), BeforeValidator(_cents)]
"""Typed in units of the currency, with two decimals at most; read as cents."""


class PeriodsQuery(ListFilter):
    state: PeriodState | None = None
    period: MonthName | None = None


class CreditForm(FilledIn):
    amount: Amount
    reason: Reason
