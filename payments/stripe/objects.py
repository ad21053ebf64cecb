"""What we read of Stripe's objects, in the shapes of its current version. Everything else is left unread."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Raw = Mapping[str, Any]


@dataclass(frozen=True)
class StripeItem:
    """The period stands here, not on the subscription (Stripe, version 2025-03-31.basil)."""

    id: str
    price_id: str
    product_id: str
    interval: str | None
    """`month` or `year`"""
    period_start: datetime
    period_end: datetime


@dataclass(frozen=True)
class StripeInvoice:
    id: str
    status: str | None
    billing_reason: str | None
    created: datetime
    amount_paid: int
    subscription_id: str | None
    paid_at: datetime | None = None


@dataclass(frozen=True)
class StripeSubscription:
    """`next_price_id`: what a schedule changes to after this period. `collection_paused`: how invoices are dealt with
    while nothing is collected; None as a rule.
    """

    id: str
    customer_id: str
    customer_email: str | None
    """None where the customer was not asked for."""
    status: str
    live: bool
    created: datetime
    items: tuple[StripeItem, ...]
    cancel_at: datetime | None
    cancel_at_period_end: bool
    trial_end: datetime | None
    collection_paused: str | None
    schedule_id: str | None
    next_price_id: str | None
    latest_invoice: StripeInvoice | None
    update_pending: bool
    ended_at: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def period_end(self) -> datetime | None:
        return min((item.period_end for item in self.items), default=None)

    @property
    def ends_with_period(self) -> bool:
        """Nothing more will be charged. A planned end may also lie behind further renewals."""
        return self.ends_at is not None and self.period_end is not None and self.ends_at <= self.period_end

    @property
    def ends_at(self) -> datetime | None:
        """A planned end. The portal sets `cancel_at` alone, and an older one the flag alone: either one counts."""
        return self.cancel_at or (self.period_end if self.cancel_at_period_end else None)


@dataclass(frozen=True)
class StripeCheckoutSession:
    id: str
    status: str | None
    payment_status: str
    url: str | None
    expires_at: datetime
    subscription_id: str | None


@dataclass(frozen=True)
class StripeIntent:
    """`client_secret` lets its holder pay. It is for the owner's eyes alone and is stored nowhere."""

    id: str
    status: str
    amount: int
    amount_received: int
    currency: str
    client_secret: str | None = field(repr=False)
    metadata: Mapping[str, str] = field(default_factory=dict)
    charge: "StripeCharge | None" = None
    """The latest. It is the one that was paid, if any was."""


@dataclass(frozen=True)
class StripeCharge:
    """`disputed` stays when the dispute is over, whoever won it."""

    id: str
    intent_id: str | None
    amount_refunded: int
    fully_refunded: bool
    disputed: bool


@dataclass(frozen=True)
class StripeRefund:
    id: str
    intent_id: str | None
    status: str | None


@dataclass(frozen=True)
class StripeDispute:
    id: str
    status: str
    charge_id: str
    intent_id: str | None


@dataclass(frozen=True)
class StripePrice:
    id: str
    active: bool
    currency: str
    unit_amount: int | None
    """None for a price of tiers or with a fraction of a cent."""
    interval: str | None
    interval_count: int


@dataclass(frozen=True)
class StripeEvent:
    """What is believed of an event: that something happened to one object. How the object is now, is asked."""

    id: str
    kind: str
    live: bool
    api_version: str | None


def read_subscription(raw: Raw) -> StripeSubscription:
    """Of an answer with `latest_invoice` and `schedule` expanded."""
    paused, schedule = raw.get("pause_collection"), raw.get("schedule")
    expanded = schedule if isinstance(schedule, Mapping) else None
    invoice = raw.get("latest_invoice")
    items = tuple(
        StripeItem(
            id=item["id"],
            price_id=item["price"]["id"],
            product_id=id_of(item["price"]["product"]) or "",
            interval=(item["price"].get("recurring") or {}).get("interval"),
            period_start=moment(item["current_period_start"]),
            period_end=moment(item["current_period_end"]),
        )
        for item in raw["items"]["data"]
    )
    return StripeSubscription(
        id=raw["id"],
        customer_id=id_of(raw["customer"]) or "",
        customer_email=raw["customer"].get("email") if isinstance(raw["customer"], Mapping) else None,
        status=raw["status"],
        live=raw["livemode"],
        created=moment(raw["created"]),
        items=items,
        cancel_at=maybe_moment(raw.get("cancel_at")),
        cancel_at_period_end=raw["cancel_at_period_end"],
        trial_end=maybe_moment(raw.get("trial_end")),
        collection_paused=paused["behavior"] if paused else None,
        schedule_id=id_of(schedule),
        next_price_id=next_price(expanded) if expanded else None,
        latest_invoice=read_invoice(invoice) if isinstance(invoice, Mapping) else None,
        update_pending=raw.get("pending_update") is not None,
        ended_at=maybe_moment(raw.get("ended_at")),
        metadata=dict(raw.get("metadata") or {}),
    )


def next_price(schedule: Raw) -> str | None:
    """The price of the phase after the current one."""
    if schedule["status"] != "active" or not schedule.get("current_phase"):
        return None
    ends = schedule["current_phase"]["end_date"]
    following = [phase for phase in schedule["phases"] if phase["start_date"] >= ends]
    return id_of(following[0]["items"][0]["price"]) if following else None


def read_invoice(raw: Raw) -> StripeInvoice:
    return StripeInvoice(
        id=raw["id"],
        status=raw.get("status"),
        billing_reason=raw.get("billing_reason"),
        created=moment(raw["created"]),
        amount_paid=raw["amount_paid"],
        subscription_id=subscription_of_invoice(raw),
        paid_at=maybe_moment((raw.get("status_transitions") or {}).get("paid_at")),
    )


def subscription_of_invoice(raw: Raw) -> str | None:
    parent = raw.get("parent")
    details = parent.get("subscription_details") if parent else None
    return id_of(details["subscription"]) if details else None


def read_session(raw: Raw) -> StripeCheckoutSession:
    return StripeCheckoutSession(
        id=raw["id"],
        status=raw.get("status"),
        payment_status=raw["payment_status"],
        url=raw.get("url"),
        expires_at=moment(raw["expires_at"]),
        subscription_id=id_of(raw.get("subscription")),
    )


def read_intent(raw: Raw) -> StripeIntent:
    """Of an answer with `latest_charge` expanded."""
    charge = raw.get("latest_charge")
    return StripeIntent(
        id=raw["id"],
        status=raw["status"],
        amount=raw["amount"],
        amount_received=raw["amount_received"],
        currency=raw["currency"],
        client_secret=raw.get("client_secret"),
        metadata=dict(raw.get("metadata") or {}),
        charge=read_charge(charge) if isinstance(charge, Mapping) else None,
    )


def read_charge(raw: Raw) -> StripeCharge:
    return StripeCharge(
        id=raw["id"],
        intent_id=id_of(raw.get("payment_intent")),
        amount_refunded=raw["amount_refunded"],
        fully_refunded=raw["refunded"],
        disputed=raw["disputed"],
    )


def read_refund(raw: Raw) -> StripeRefund:
    return StripeRefund(id=raw["id"], intent_id=id_of(raw.get("payment_intent")), status=raw.get("status"))


def read_dispute(raw: Raw) -> StripeDispute:
    return StripeDispute(
        id=raw["id"],
        status=raw["status"],
        charge_id=id_of(raw["charge"]) or "",
        intent_id=id_of(raw.get("payment_intent")),
    )


def read_price(raw: Raw) -> StripePrice:
    recurring = raw.get("recurring") or {}
    return StripePrice(
        id=raw["id"],
        active=raw["active"],
        currency=raw["currency"],
        unit_amount=raw.get("unit_amount"),
        interval=recurring.get("interval"),
        interval_count=recurring.get("interval_count", 1),
    )


def id_of(value: Any) -> str | None:
    """Of an object or of its id: Stripe sends the one or the other, as the request asked."""
    if value is None:
        return None
    return str(value["id"]) if isinstance(value, Mapping) else str(value)


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def maybe_moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else moment(seconds)
