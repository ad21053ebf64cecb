"""What a one-off payment is for, and what a product that sells something once may do with its payments.

Payments know no kind of purchase but items and statements: a product hands in its own (`Built.purchases`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from sqlalchemy.orm import Session

from database.jobs.declare import JobName, Urgency
from security.edge.problems import DependencyUnavailable

GIVE_MONEY_BACK = JobName("give_money_back", Urgency.PAYMENTS)
"""Enqueued with a `payment_id` whose money bought nothing: all that is left of it goes back."""


ORDER: Final = "order"
"""The kind that the API names by `order_id`, where a product sells it."""


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
    """Of the whole quantity, in the currency's minor units. `until`: when nobody can pay it any more; None for the usual time."""

    amount: int
    currency: str
    until: datetime | None = None


@dataclass(frozen=True)
class KnownRefund:
    """As the provider has it. `key` is that of `OneOffPayments.refund`, and None for one that was made in another way, such as in
    the provider's dashboard. `failed`: its money never left, or came back to us.
    """

    id: str
    key: str | None
    amount: int
    failed: bool


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

    def refuse_late(self, session: Session, purchase: Purchase) -> None:
        """Before an open payment is tried: raises a problem when this purchase cannot be paid any more."""

    def reserve(self, session: Session, purchase: Purchase) -> bool:
        """Set it aside. False when there is not enough left. Of two at the same time one gets the last."""

    def release(self, session: Session, purchase: Purchase) -> None:
        """Nobody pays for it any more: what was set aside is free again."""

    def paid(self, session: Session, purchase: Purchase, now: datetime) -> None:
        """It is the buyer's now."""

    def given_back(self, session: Session, purchase: Purchase, now: datetime) -> None:
        """All of the money went back after `paid`: as a refund, or by a dispute that was lost."""

    def refunded(self, session: Session, purchase: Purchase, refunds: Sequence[KnownRefund], now: datetime) -> None:
        """What the provider knows of refunds of this payment, all of them, each time that it was asked. The same may come often."""


class RefundRefused(Exception):
    """Nothing went back, and nothing will under this key: the money is back already, or the cardholder's bank has it."""


class OneOffPayments(Protocol):
    """What a product does with the payments of its purchases. Everything asks Stripe, so nothing is called inside a transaction."""

    def end(self, kind: str, purchase_id: UUID) -> bool:
        """Nobody can pay this purchase any more: its open payment is cancelled at Stripe. If it was paid at that moment, `paid`
        has been called. False when the bank has not decided yet, and the payment stays open. Raises Stripe's problems.
        """

    def refund(self, payment_id: UUID, amount: int, key: str) -> None:
        """Give back so much, in minor units. The same `key` is the same refund, however late it comes. What came of it has been
        told to `Purchases.refunded`. Raises RefundRefused, Stripe's problems.
        """

    def follow(self, payment_id: UUID) -> None:
        """Ask how this payment is, and write it down. Raises Stripe's problems."""
