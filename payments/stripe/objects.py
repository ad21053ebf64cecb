"""What we read of Stripe's objects, in the shapes of its current version. Everything else is left unread."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import AliasPath, BaseModel, BeforeValidator, ConfigDict, Field

SUSPENDED_BY = "suspended_by"
"""The subscription's metadata key that names the dispute for which we stopped collecting."""

REFUND_KEY = "key"
"""The refund's metadata key that says for which of ours it was made. Stripe forgets idempotency keys, and keeps this."""


def id_of(value: Any) -> Any:
    """Of an object or of its id: Stripe sends the one or the other, as the request asked."""
    return value["id"] if isinstance(value, Mapping) else value


def subscription_of_invoice(raw: Mapping[str, Any]) -> str | None:
    parent = raw.get("parent")
    details = parent.get("subscription_details") if parent else None
    found: str | None = id_of(details["subscription"]) if details else None
    return found


def next_price(schedule: Any) -> str | None:
    """The price of the phase after the current one."""
    if not isinstance(schedule, Mapping) or schedule["status"] != "active" or not schedule.get("current_phase"):
        return None
    ends = schedule["current_phase"]["end_date"]
    following = [phase for phase in schedule["phases"] if phase["start_date"] >= ends]
    price: str | None = id_of(following[0]["items"][0]["price"]) if following else None
    return price


Id = Annotated[str, BeforeValidator(id_of)]
MaybeId = Annotated[str | None, BeforeValidator(id_of)]
IfExpanded = BeforeValidator(lambda value: value if isinstance(value, Mapping) else None)
IsThere = BeforeValidator(lambda value: value is not None)


class StripeObject(BaseModel):
    """A moment is seconds since 1970 at Stripe, and an aware time here."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str


class StripeWebhookEndpoint(StripeObject):
    """`enabled_events` is `["*"]` for all. `api_version` is None for that of the account."""

    url: str
    status: str
    enabled_events: tuple[str, ...]
    api_version: str | None = None


class StripeItem(StripeObject):
    """The period stands here, not on the subscription (Stripe, version 2025-03-31.basil)."""

    price_id: str = Field(validation_alias=AliasPath("price", "id"))
    product_id: Id = Field(validation_alias=AliasPath("price", "product"))
    interval: str | None = Field(default=None, validation_alias=AliasPath("price", "recurring", "interval"))
    """`month` or `year`"""
    interval_count: int = Field(default=1, validation_alias=AliasPath("price", "recurring", "interval_count"))
    unit_amount: int | None = Field(default=None, validation_alias=AliasPath("price", "unit_amount"))
    currency: str | None = Field(default=None, validation_alias=AliasPath("price", "currency"))
    quantity: int | None = None
    """None where use is metered."""
    period_start: datetime = Field(validation_alias="current_period_start")
    period_end: datetime = Field(validation_alias="current_period_end")


class StripeInvoice(StripeObject):
    status: str | None = None
    billing_reason: str | None = None
    created: datetime
    amount_paid: int
    subscription_id: MaybeId = Field(
        default=None, validation_alias=AliasPath("parent", "subscription_details", "subscription")
    )
    paid_at: datetime | None = Field(default=None, validation_alias=AliasPath("status_transitions", "paid_at"))


class StripeSubscription(StripeObject):
    """Read with `latest_invoice` and `schedule` expanded."""

    customer_id: Id = Field(validation_alias="customer")
    customer_email: str | None = Field(default=None, validation_alias=AliasPath("customer", "email"))
    """None where the customer was not asked for."""
    status: str
    live: bool = Field(validation_alias="livemode")
    created: datetime
    items: tuple[StripeItem, ...] = Field(validation_alias=AliasPath("items", "data"))
    cancel_at: datetime | None = None
    cancel_at_period_end: bool
    trial_end: datetime | None = None
    collection_paused: str | None = Field(default=None, validation_alias=AliasPath("pause_collection", "behavior"))
    """How invoices are dealt with while nothing is collected; None as a rule."""
    schedule_id: MaybeId = Field(default=None, validation_alias=AliasPath("schedule"))
    next_price_id: Annotated[str | None, BeforeValidator(next_price)] = Field(
        default=None, validation_alias=AliasPath("schedule")
    )
    """What the schedule changes to after this period."""
    latest_invoice: Annotated[StripeInvoice | None, IfExpanded] = None
    update_pending: Annotated[bool, IsThere] = Field(default=False, validation_alias="pending_update")
    ended_at: datetime | None = None
    suspended_by: str | None = Field(default=None, validation_alias=AliasPath("metadata", SUSPENDED_BY))

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


class StripeCheckoutSession(StripeObject):
    status: str | None = None
    url: str | None = None
    expires_at: datetime
    subscription_id: MaybeId = Field(default=None, validation_alias="subscription")
    intent_id: MaybeId = Field(default=None, validation_alias="payment_intent")
    """Of one in payment mode, once somebody tried a card."""


class StripeCharge(StripeObject):
    """`disputed` stays when the dispute is over, whoever won it."""

    intent_id: MaybeId = Field(default=None, validation_alias="payment_intent")
    amount_refunded: int
    fully_refunded: bool = Field(validation_alias="refunded")
    disputed: bool


class StripeIntent(StripeObject):
    """`client_secret` lets its holder pay. It is for the owner's eyes alone and is stored nowhere."""

    status: str
    amount_received: int
    currency: str
    client_secret: str | None = Field(default=None, repr=False)
    payment_id: str | None = Field(default=None, validation_alias=AliasPath("metadata", "payment_id"))
    """Our payment, as we wrote it into the intent."""
    charge: Annotated[StripeCharge | None, IfExpanded] = Field(default=None, validation_alias="latest_charge")
    """The latest, expanded. It is the one that was paid, if any was."""


class StripeRefund(StripeObject):
    intent_id: MaybeId = Field(default=None, validation_alias="payment_intent")
    amount: int
    status: str | None = None
    key: str | None = Field(default=None, validation_alias=AliasPath("metadata", REFUND_KEY))
    """Of one that a product of ours asked for."""

    @property
    def failed(self) -> bool:
        """Its money stayed with us, or came back."""
        return self.status in {"failed", "canceled"}


class StripeDispute(StripeObject):
    status: str
    charge_id: Id = Field(validation_alias="charge")
    intent_id: MaybeId = Field(default=None, validation_alias="payment_intent")


class StripePrice(StripeObject):
    active: bool
    currency: str
    unit_amount: int | None = None
    """None for a price of tiers or with a fraction of a cent."""
    interval: str | None = Field(default=None, validation_alias=AliasPath("recurring", "interval"))
    interval_count: int = Field(default=1, validation_alias=AliasPath("recurring", "interval_count"))
