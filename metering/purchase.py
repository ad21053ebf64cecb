"""What a one-off payment is for, and what a product that sells something once may do with its payments.

Payments know no kind of purchase but items and statements: a product hands in its own (`Built.purchases`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from sqlalchemy.orm import Session

from database.jobs.declare import JobName, Urgency
from security.edge.problems import DependencyUnavailable

GIVE_MONEY_BACK = JobName("give_money_back", Urgency.PAYMENTS)
"""Enqueued with a `payment_id` whose money bought nothing: all that is left of it goes back."""


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


@dataclass(frozen=True)
class MadeRefund:
    """`id` is Stripe's. `failed`: no money went back."""

    id: str
    failed: bool


class OneOffPayments(Protocol):
    """What a product does with the payments of its purchases. Both ask Stripe, so neither is called inside a transaction."""

    def end(self, kind: str, purchase_id: UUID) -> bool:
        """Nobody can pay this purchase any more: its open payment is cancelled at Stripe. If it was paid at that moment, `paid`
        has been called. False when the bank has not decided yet, and the payment stays open. Raises Stripe's problems.
        """

    def refund(self, payment_id: UUID, amount: int, key: str) -> MadeRefund:
        """Give back so much, in minor units. The same `key` is the same refund. Raises NothingLeftToRefund, Stripe's problems."""
