"""What a one-off payment is for. Each kind of purchase is handed in where the application is put together; payments know none."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from sqlalchemy.orm import Session

from database.jobs.declare import JobName, Urgency
from security.edge.problems import DependencyUnavailable

GIVE_MONEY_BACK = JobName("give_money_back", Urgency.PAYMENTS)
"""Enqueued with a `payment_id` whose money bought nothing."""


class PurchaseKindOff(DependencyUnavailable):
    """The payment is for something that this process does not sell: it is switched off here. Its events are tried again."""


@dataclass(frozen=True)
class Purchase:
    """`id` is the kind's own, of an item or an order for example. A payment that is open already keeps its `quantity`.

    `payment_id` is the payment that moves; None while it is ordered.
    """

    kind: str
    id: UUID
    quantity: int = 1
    payment_id: UUID | None = None


@dataclass(frozen=True)
class Price:
    """Of the whole quantity, in the currency's minor units."""

    amount: int
    currency: str


class Purchases(Protocol):
    """One kind. Every method runs in the transaction that moves the payment, and calls no other server.

    `reserve` is followed by `release` or `paid`; by neither while a person must look at the payment. After `release` it may
    come again: money arrived at the last moment. `given_back` undoes `paid`, and `paid` comes again when the refund fails or a
    dispute is won. Either may come twice in a row for one payment, and then changes nothing.
    """

    @property
    def kind(self) -> str: ...

    def price(self, session: Session, user_id: UUID, purchase: Purchase) -> Price:
        """What this user pays. The only place that says so. Raises NotFound for what is not on sale to them."""

    def reserve(self, session: Session, purchase: Purchase) -> bool:
        """Set it aside. False when there is not enough left. Of two at the same time one gets the last."""

    def release(self, session: Session, purchase: Purchase) -> None:
        """Nobody pays for it any more: what was set aside is free again."""

    def paid(self, session: Session, purchase: Purchase, now: datetime) -> None:
        """It is the buyer's now."""

    def given_back(self, session: Session, purchase: Purchase, now: datetime) -> None:
        """All of the money went back after `paid`: as a refund, or by a dispute that was lost."""
