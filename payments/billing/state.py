"""What a billing period is in, and what of it is to be paid."""

from enum import StrEnum

from metering.money import MICROS_PER_CENT

SMALLEST_PAYMENT = 50
"""Cents. Stripe takes no payment below it (docs.stripe.com/currencies, minimum charge amounts), so less than that is never overdue:
its user could not pay it.
"""


class PeriodState(StrEnum):
    OPEN = "open"
    """The month still runs, or nobody closed it yet: it has no row."""
    DUE = "due"
    PAID = "paid"
    OVERDUE = "overdue"
    WAIVED = "waived"
    """Nobody asks for it any more."""


UNPAID = frozenset({PeriodState.DUE, PeriodState.OVERDUE})


def in_cents(micros: int) -> int:
    """Rounded half up."""
    return (micros + MICROS_PER_CENT // 2) // MICROS_PER_CENT


def in_words(cents: int, currency: str) -> str:
    """For people: `20.00 USD`."""
    return f"{cents // 100:,}.{cents % 100:02} {currency.upper()}"
