"""Money among the amounts that a call draws: how much it may be says a purse, and that no call passes it the ledger."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from metering.limits import Draw
from security.edge.problems import Problem

MONEY_UNIT = "micros"
"""Millionths of the currency unit."""
MICROS_PER_CENT = 10_000
ACCOUNT = "account"
"""The counter of what all features of a user draw from."""


class MoneyRefused(Problem):
    """What an account may spend or owe is reached. Nothing was consumed by asking."""

    status, error, title = 402, "payment_required", "Your account cannot spend more right now"


class Purse(Protocol):
    """What accounts may spend."""

    def draws(self, user_id: UUID, price_micros: int, now: datetime) -> tuple[Draw, ...]:
        """What a call of this price draws beside itself; nothing when it is free. It is read from the database.

        Raises MoneyRefused.
        """
