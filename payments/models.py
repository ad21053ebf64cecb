"""The tables of payments: subscriptions at each provider, what the providers told us, and what came of it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Sequence,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from auth.models import TIERS
from database.base import Base, uuid7

OPEN_PAYMENT = "status IN ('pending', 'action_required', 'processing')"

FETCH_VERSIONS = Sequence("billing_fetch_versions", metadata=Base.metadata)
"""Numbers for facts that we fetch ourselves. See `fetch_version` in subscriptions/record.py."""


class Subscription(Base):
    """One subscription at one provider. A user may have several: payments/subscriptions/entitlement.py says which tier they make.

    `user_id` is null before an owner is known and after the owner's account is gone. `bound_at` stays: what was once
    somebody's can never be claimed by another account. Which fact replaces another is said by `source_epoch`, `source_version`
    and `renewal_version`: see payments/subscriptions/record.py.
    """

    __tablename__ = "subscriptions"
    __table_args__ = (
        CheckConstraint(f"tier IN ({TIERS})", name="tier_known"),
        CheckConstraint(
            "CASE provider"
            " WHEN 'stripe' THEN stripe_subscription_id IS NOT NULL AND apple_transaction_id IS NULL"
            " WHEN 'apple' THEN apple_transaction_id IS NOT NULL AND stripe_subscription_id IS NULL"
            " AND environment IS NOT NULL"
            " WHEN 'manual' THEN stripe_subscription_id IS NULL AND apple_transaction_id IS NULL"
            " ELSE false END",
            name="one_provider",
        ),
        CheckConstraint("user_id IS NULL OR bound_at IS NOT NULL", name="owner_was_bound"),
        UniqueConstraint("environment", "apple_transaction_id"),
        Index("ix_subscriptions_user_id", "user_id"),
        Index("uq_subscriptions_manual_user_id", "user_id", unique=True, postgresql_where=text("provider = 'manual'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    bound_at: Mapped[datetime | None]
    provider: Mapped[str] = mapped_column(Text)
    environment: Mapped[str | None] = mapped_column(Text)
    """Apple: `Production` or `Sandbox`. Stripe: `live` or `test`."""
    stripe_subscription_id: Mapped[str | None] = mapped_column(Text, unique=True)
    apple_transaction_id: Mapped[str | None] = mapped_column(Text)
    """The original transaction id, which stays through renewals, upgrades and resubscriptions."""
    product_id: Mapped[str | None] = mapped_column(Text)
    """Apple's product or Stripe's price, as the tier was read from it."""
    tier: Mapped[str] = mapped_column(Text)
    pending_tier: Mapped[str | None] = mapped_column(Text)
    """The tier from the next renewal on, when it differs."""
    status: Mapped[str] = mapped_column(Text)
    """payments/subscriptions/status.py"""
    provider_status: Mapped[str | None] = mapped_column(Text)
    """The provider's own word, for people."""
    trial: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether a free trial was used, now or earlier in this subscription."""
    period_end: Mapped[datetime | None]
    grace_end: Mapped[datetime | None]
    payment_failed_at: Mapped[datetime | None]
    """The first failure of the present row of failures."""
    cancel_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    lapsed_at: Mapped[datetime | None]
    """Since when it gives no access, as far as we were told. The time when an unrenewed period ends is not written down."""
    price_amount: Mapped[int | None] = mapped_column(BigInteger)
    """What its owner pays for a period of `price_months`, in minor units of `price_currency`, before discounts and taxes as the
    provider tells it. None for one that was never paid: a trial, a manual grant, what a family shares."""
    price_currency: Mapped[str | None] = mapped_column(Text)
    price_months: Mapped[int | None]
    source_epoch: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    source_version: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    renewal_version: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class BillingCustomer(Base):
    """Who a user is to the providers. The row outlives the account, so that a late purchase is known for what it is."""

    __tablename__ = "billing_customers"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), unique=True)
    stripe_customer_id: Mapped[str | None] = mapped_column(Text, unique=True)
    apple_account_token: Mapped[UUID] = mapped_column(unique=True)
    """Given to the app, which hands it to StoreKit at a purchase, so that Apple's signed facts name the buyer."""
    created_at: Mapped[datetime]


class BillingEvent(Base):
    """The inbox: what a provider told us, verified, once. `payments/inbox/inbox.py` applies it.

    `body` is Apple's signed text, which names nobody, or what is kept of an event of Stripe (what_an_event_names.py).
    """

    __tablename__ = "billing_events"
    __table_args__ = (
        CheckConstraint("state IN ('received', 'done', 'ignored', 'dead')", name="state_known"),
        UniqueConstraint("provider", "external_id"),
        Index(
            "ix_billing_events_next_attempt_at_received",
            "next_attempt_at",
            postgresql_where=text("state = 'received'"),
        ),
        Index("ix_billing_events_id_dead", "id", postgresql_where=text("state = 'dead'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    provider: Mapped[str] = mapped_column(Text)
    external_id: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    environment: Mapped[str | None] = mapped_column(Text)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(Text, server_default="received")
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    next_attempt_at: Mapped[datetime]
    last_error: Mapped[str | None] = mapped_column(Text)
    settled_at: Mapped[datetime | None]


class EntitlementChange(Base):
    """The ledger of tiers. Rows are only ever added: a trigger refuses everything else. It outlives the account."""

    __tablename__ = "entitlement_ledger"
    __table_args__ = (Index("ix_entitlement_ledger_user_id_id", "user_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID]
    from_tier: Mapped[str] = mapped_column(Text)
    to_tier: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime | None]
    source: Mapped[str | None] = mapped_column(Text)
    cause: Mapped[str] = mapped_column(Text)
    """What led to it: `apple:<notification id>`, `manual:<who>`, `reconcile` …"""
    at: Mapped[datetime]


CHECKOUT = "checkout"
"""The kind of intent that opens a page at Stripe."""


class CheckoutIntent(Base):
    """A first write to a provider, put down before it is sent. Its id is the provider's idempotency key."""

    __tablename__ = "checkout_intents"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'done', 'failed', 'expired')", name="state_known"),
        Index("ix_checkout_intents_user_id", "user_id"),
        Index("ix_checkout_intents_created_at_open", "created_at", postgresql_where=text("state = 'open'")),
        Index(
            "uq_checkout_intents_user_id_kind_open",
            "user_id",
            "kind",
            unique=True,
            postgresql_where=text("state = 'open'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    provider: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    tier: Mapped[str | None] = mapped_column(Text)
    billing_cycle: Mapped[str | None] = mapped_column(Text)
    parameters: Mapped[str | None] = mapped_column(Text)
    """The request as JSON: a key stands for one request, so a retry must be exactly the same."""
    state: Mapped[str] = mapped_column(Text, server_default="open")
    external_id: Mapped[str | None] = mapped_column(Text)
    expires_at: Mapped[datetime | None]
    asked_at: Mapped[datetime | None]
    """When the provider was last asked because the buyer wanted to know."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Item(Base):
    """Something that is sold once, without a subscription. `amount` is for one, in the currency's minor units.

    `stock` is what is left to be promised; None for what never runs out.
    """

    __tablename__ = "items"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("stock >= 0", name="stock_not_negative"),
        CheckConstraint("currency ~ '^[a-z]{3}$'", name="currency_is_iso_4217"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    code: Mapped[str] = mapped_column(Text, unique=True)
    title: Mapped[str] = mapped_column(Text)
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    stock: Mapped[int | None] = mapped_column(BigInteger)
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Payment(Base):
    """A one-off payment. `amount` and `refunded_amount` are in the currency's minor units.

    It is for a purchase (metering/purchase.py), of which `quantity` is set aside until `reserved_until`, and handed over at
    `fulfilled_at`.
    """

    __tablename__ = "payments"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("refunded_amount BETWEEN 0 AND amount", name="refund_within_amount"),
        CheckConstraint("currency ~ '^[a-z]{3}$'", name="currency_is_iso_4217"),
        CheckConstraint("quantity > 0", name="quantity_positive"),
        UniqueConstraint("provider", "external_id"),
        Index("ix_payments_user_id", "user_id"),
        Index("ix_payments_reserved_until_open", "reserved_until", postgresql_where=text(OPEN_PAYMENT)),
        Index(
            "uq_payments_user_id_purchase_open",
            "user_id",
            "purchase_kind",
            "purchase_id",
            unique=True,
            postgresql_where=text(OPEN_PAYMENT),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    provider: Mapped[str] = mapped_column(Text)
    external_id: Mapped[str | None] = mapped_column(Text)
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    purchase_kind: Mapped[str] = mapped_column(Text)
    purchase_id: Mapped[UUID]
    quantity: Mapped[int]
    reserved_until: Mapped[datetime]
    fulfilled_at: Mapped[datetime | None]
    source_version: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    refunded_amount: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    status: Mapped[str] = mapped_column(Text)
    """payments/purchases/status.py"""
    asked_at: Mapped[datetime | None]
    """When the provider was last asked because the buyer wanted to know."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class BillingPeriod(Base):
    """A closed UTC month of one user: their statement. It outlives the account, with a bare id.

    `amount_cents` is what is to be paid: `charges_micros` in cents, rounded once, half up, less `credits_cents`, and at least 0.
    """

    __tablename__ = "billing_periods"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'due', 'paid', 'overdue', 'waived')", name="state_known"),
        CheckConstraint("period ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'", name="period_is_a_month"),
        CheckConstraint(
            "requests >= 0 AND charges_micros >= 0 AND credits_cents >= 0 AND amount_cents >= 0",
            name="nothing_negative",
        ),
        CheckConstraint(
            "state NOT IN ('due', 'overdue') OR (amount_cents > 0 AND due_at IS NOT NULL)", name="due_at_a_time"
        ),
        CheckConstraint("currency ~ '^[a-z]{3}$'", name="currency_is_iso_4217"),
        UniqueConstraint("user_id", "period"),
        Index(
            "ix_billing_periods_state_due_at_unpaid",
            "state",
            "due_at",
            postgresql_where=text("state IN ('due', 'overdue')"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    """See `period_id` in payments/billing/months.py."""
    user_id: Mapped[UUID]
    period: Mapped[str] = mapped_column(Text)
    """YYYY-MM"""
    state: Mapped[str] = mapped_column(Text)
    """payments/billing/state.py"""
    requests: Mapped[int] = mapped_column(BigInteger)
    charges_micros: Mapped[int] = mapped_column(BigInteger)
    credits_cents: Mapped[int] = mapped_column(BigInteger)
    amount_cents: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    closed_at: Mapped[datetime]
    due_at: Mapped[datetime | None]
    paid_at: Mapped[datetime | None]
    payment_id: Mapped[UUID | None]
    """The payment that paid it; None when it was paid in another way."""


class BillingCredit(Base):
    """What a user need not pay: it stands in the next statement. Rows are never changed, but `statement_id` is set once, and
    `reason` goes when the account is erased.
    """

    __tablename__ = "billing_credits"
    __table_args__ = (
        CheckConstraint("cents > 0", name="cents_positive"),
        Index("ix_billing_credits_user_id", "user_id"),
        Index(
            "uq_billing_credits_user_id_cents_reason_waiting",
            "user_id",
            "cents",
            "reason",
            unique=True,
            postgresql_where=text("statement_id IS NULL AND carried_from IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID]
    cents: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str | None] = mapped_column(Text)
    given_by: Mapped[str] = mapped_column(Text)
    """The id of a member of the staff, or `operator` for the command line, or `statement` for what was carried over."""
    carried_from: Mapped[UUID | None]
    """The statement that had more credits than charges, and this is what was left."""
    statement_id: Mapped[UUID | None]
    created_at: Mapped[datetime]


class ReconcileCursor(Base):
    """How far a reconciler has come, so that a run that was cut short is continued."""

    __tablename__ = "reconcile_cursors"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    position: Mapped[str] = mapped_column(Text)
    updated_at: Mapped[datetime]


class BillingCount(Base):
    """How often something happened that an operator should know of: forged receipts, drift, unknown products."""

    __tablename__ = "billing_counts"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    last_at: Mapped[datetime]
