"""The tables of the shop: products and every change of their stock, orders with their lines, refunds and history."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Computed, ForeignKey, Index, Integer, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base, uuid7


class OrderStatus(StrEnum):
    PENDING = "pending"
    """Its goods are set aside until `reserved_until`, and nobody has paid yet."""
    CONFIRMED = "confirmed"
    """Paid."""
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


class MovementKind(StrEnum):
    """Why a stock changed."""

    INITIAL = "initial"
    ADJUST = "adjust"
    """Staff added or took away some."""
    COUNT = "count"
    """Staff counted what is there."""
    RESERVE = "reserve"
    """An order took it."""
    RELEASE = "release"
    """The order was cancelled."""
    RETURN = "return"
    """A refund put it back."""


class RefundState(StrEnum):
    REQUESTED = "requested"
    """Written down before Stripe is asked. Its amount counts as given back already."""
    DONE = "done"
    FAILED = "failed"
    """No money went back, and its amount may be given back by another refund."""


SEARCH: Final = "to_tsvector('simple'::regconfig, ((name || ' '::text) || description))"
"""In PostgreSQL's own spelling."""


class Product(Base):
    """Something that the shop sells. `price_minor` is for one, in minor units of `currency`.

    `stock_quantity` is what can still be promised to somebody: what unpaid orders hold is no longer in it. Only move_stock.py
    changes it, so that it is always the sum of the product's movements. A product is never deleted, because orders name it.
    """

    __tablename__ = "shop_products"
    __table_args__ = (
        CheckConstraint("price_minor >= 0", name="price_not_negative"),
        CheckConstraint("currency ~ '^[a-z]{3}$'", name="currency_is_iso_4217"),
        CheckConstraint("stock_quantity >= 0", name="stock_not_negative"),
        Index("ix_shop_products_search", "search", postgresql_using="gin"),
        Index("ix_shop_products_category_id", "category", "id"),
        Index("ix_shop_products_price_minor_id", "price_minor", "id"),
        Index("ix_shop_products_name_id", "name", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text, server_default="")
    price_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    category: Mapped[str | None] = mapped_column(Text)
    image_url: Mapped[str | None] = mapped_column(Text)
    """Shown to buyers, and never fetched by us."""
    sku: Mapped[str | None] = mapped_column(Text, unique=True)
    ships: Mapped[bool] = mapped_column(server_default=text("true"), default=True)
    """An order with it needs an address."""
    stock_quantity: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    is_active: Mapped[bool] = mapped_column(server_default=text("true"), default=True)
    """Whether it is on sale."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    search: Mapped[str] = mapped_column(TSVECTOR, Computed(SEARCH, persisted=True), deferred=True)


class Order(Base):
    """Amounts are in minor units of `currency`, and `total_minor` has `shipping_minor` in it.

    The row outlives the account, for the books: then `user_id`, `ship_to` and `note` are empty. Only move_order.py changes
    `status`.
    """

    __tablename__ = "shop_orders"
    __table_args__ = (
        CheckConstraint("status IN ('pending', 'confirmed', 'shipped', 'delivered', 'cancelled')", name="status_known"),
        CheckConstraint("total_minor >= 0", name="total_not_negative"),
        CheckConstraint("shipping_minor BETWEEN 0 AND total_minor", name="shipping_within_total"),
        CheckConstraint("refunded_minor BETWEEN 0 AND total_minor", name="refunded_within_total"),
        CheckConstraint("currency ~ '^[a-z]{3}$'", name="currency_is_iso_4217"),
        CheckConstraint("number ~ '^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$'", name="number_form"),
        Index("ix_shop_orders_user_id_id", "user_id", "id"),
        Index("ix_shop_orders_user_id_pending", "user_id", postgresql_where=text("status = 'pending'")),
        Index("ix_shop_orders_status_id", "status", "id"),
        Index("ix_shop_orders_payment_id", "payment_id"),
        Index("ix_shop_orders_reserved_until_pending", "reserved_until", postgresql_where=text("status = 'pending'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    number: Mapped[str] = mapped_column(Text, unique=True)
    """For people, such as `B7Q2-M4XK`: 40 random bits in Crockford's base 32. It opens nothing."""
    status: Mapped[str] = mapped_column(Text)
    payment_id: Mapped[UUID | None] = mapped_column(ForeignKey("payments.id"))
    """The payment that paid it, or else the last one that was begun for it."""
    total_minor: Mapped[int] = mapped_column(BigInteger)
    refunded_minor: Mapped[int] = mapped_column(BigInteger, server_default=text("0"), default=0)
    """What `shop_refunds` gave back or is about to."""
    currency: Mapped[str] = mapped_column(Text)
    shipping_minor: Mapped[int] = mapped_column(BigInteger, server_default=text("0"), default=0)
    ship_to: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    note: Mapped[str | None] = mapped_column(Text)
    tracking: Mapped[str | None] = mapped_column(Text)
    reserved_until: Mapped[datetime]
    placed_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    shipped_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    cancel_reason: Mapped[str | None] = mapped_column(Text)
    updated_at: Mapped[datetime]


class OrderItem(Base):
    """A line of an order. Name and price are those of the moment at which it was placed."""

    __tablename__ = "shop_order_items"
    __table_args__ = (
        CheckConstraint("unit_price_minor >= 0", name="price_not_negative"),
        CheckConstraint("quantity > 0", name="quantity_positive"),
        CheckConstraint("refunded_quantity BETWEEN 0 AND quantity", name="refunded_within_quantity"),
        UniqueConstraint("order_id", "product_id"),
        Index("ix_shop_order_items_product_id", "product_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("shop_orders.id"))
    product_id: Mapped[UUID] = mapped_column(ForeignKey("shop_products.id"))
    name: Mapped[str] = mapped_column(Text)
    unit_price_minor: Mapped[int] = mapped_column(BigInteger)
    quantity: Mapped[int] = mapped_column(Integer)
    refunded_quantity: Mapped[int] = mapped_column(Integer, server_default=text("0"), default=0)


class StockMovement(Base):
    """One change of a product's stock. Rows are only ever added: a trigger refuses everything else.

    A line is reserved once and released once, and a refund returns it once, because the second row cannot be written.
    """

    __tablename__ = "stock_movements"
    __table_args__ = (
        CheckConstraint("delta <> 0", name="delta_not_zero"),
        CheckConstraint("kind IN ('initial', 'adjust', 'count', 'reserve', 'release', 'return')", name="kind_known"),
        CheckConstraint("(kind IN ('reserve', 'release', 'return')) = (order_item_id IS NOT NULL)", name="line_named"),
        CheckConstraint("(kind = 'return') = (refund_id IS NOT NULL)", name="refund_named"),
        Index("ix_stock_movements_product_id_id", "product_id", "id"),
        Index(
            "uq_stock_movements_order_item_id_kind",
            "order_item_id",
            "kind",
            unique=True,
            postgresql_where=text("kind IN ('reserve', 'release')"),
        ),
        UniqueConstraint("refund_id", "order_item_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    product_id: Mapped[UUID] = mapped_column(ForeignKey("shop_products.id"))
    delta: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(Text)
    order_item_id: Mapped[UUID | None] = mapped_column(ForeignKey("shop_order_items.id"))
    refund_id: Mapped[UUID | None] = mapped_column(ForeignKey("shop_refunds.id"))
    actor_id: Mapped[UUID | None]
    """The member of the staff who did it; None for the command line and for orders."""
    at: Mapped[datetime]


class Refund(Base):
    """Money of an order that goes back. `items` are the lines that it names, as the staff wrote them."""

    __tablename__ = "shop_refunds"
    __table_args__ = (
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        CheckConstraint("state IN ('requested', 'done', 'failed')", name="state_known"),
        Index("ix_shop_refunds_order_id", "order_id"),
        Index("ix_shop_refunds_created_at_requested", "created_at", postgresql_where=text("state = 'requested'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("shop_orders.id"))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    stripe_refund_id: Mapped[str | None] = mapped_column(Text, unique=True)
    actor_id: Mapped[UUID | None]
    """The member of the staff who gives it; None for what goes back by itself."""
    items: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'"))
    created_at: Mapped[datetime]
    done_at: Mapped[datetime | None]


class OrderEvent(Base):
    """The order moved. `from_status` is None when it was placed."""

    __tablename__ = "shop_order_events"
    __table_args__ = (
        CheckConstraint("actor IN ('buyer', 'staff', 'payment', 'system')", name="actor_known"),
        Index("ix_shop_order_events_order_id_id", "order_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("shop_orders.id"))
    from_status: Mapped[str | None] = mapped_column(Text)
    to_status: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    actor_id: Mapped[UUID | None]
    """The member of the staff."""
    reason: Mapped[str | None] = mapped_column(Text)
    at: Mapped[datetime]
