"""What the routes of orders take and answer."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, Field

from capabilities.shop.models import OrderStatus
from capabilities.shop.money import WRITTEN
from capabilities.shop.move_order import Actor
from capabilities.shop.orders.payment_status import OrderPaymentStatus
from security.api.cursor import ListAnswer, ListQuery
from security.api.models import WHOLE, AnswerBody, Body
from security.api.typed_text import NOT_BLANK, ONE_LINE, SEEN, trims

MOST_LINES: Final = 100
MOST_PIECES: Final = 1000


def _decimal(text: str) -> str:
    if WRITTEN.fullmatch(text) is None:
        raise ValueError("Write the amount as a decimal, such as 12.50")
    return text


Line = Annotated[str, Field(min_length=1, max_length=200, pattern=ONE_LINE), trims(200)]
Words = Annotated[str, Field(min_length=1, max_length=1000, json_schema_extra={"pattern": SEEN}), NOT_BLANK]
ExpectedTotal = Annotated[
    str, Field(json_schema_extra={"pattern": f"^{WRITTEN.pattern}$"}, examples=["25.00"]), AfterValidator(_decimal)
]
Amount = Annotated[str, Field(examples=["12.50"])]
"""A decimal, in the order's currency."""


class OrderLineBody(Body):
    product_id: UUID
    quantity: Annotated[int, Field(ge=1, le=MOST_PIECES), WHOLE]


class Address(Body):
    name: Line
    line1: Line
    line2: Line | None = None
    city: Line
    postal_code: Annotated[str, Field(min_length=1, max_length=20, pattern=ONE_LINE), trims(20)]
    region: Line | None = None
    """A state or province."""
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$", examples=["US"])]
    """ISO 3166-1, two letters."""


class PlaceOrderBody(Body):
    """Prices are the server's, and no field can name one. The same product on several lines is one line of the order."""

    items: Annotated[list[OrderLineBody], Field(min_length=1, max_length=MOST_LINES)]
    ship_to: Address | None = None
    """Required when one of the products ships."""
    note: Words | None = None
    """For whoever packs the order."""
    expected_total: ExpectedTotal | None = None
    """What you showed the buyer, with shipping. If the total has changed, nothing is ordered and you get `price_changed`."""


class CancelOrderBody(Body):
    reason: Words | None = None


class MoveOrderBody(Body):
    status: OrderStatus
    """What the order becomes. Its present status changes nothing."""
    tracking: Line | None = None
    """How to follow the parcel, such as its number. Null: as it is."""
    reason: Words | None = None
    """For the staff. The buyer does not see it."""


class AddressAnswer(AnswerBody):
    name: str
    line1: str
    line2: str | None
    city: str
    postal_code: str
    region: str | None
    country: str


class OrderItemAnswer(AnswerBody):
    id: UUID
    product_id: UUID
    name: str
    """Name and price are those of the moment at which the order was placed."""
    unit_price: Amount
    unit_price_minor: int
    quantity: int
    refunded_quantity: int


class OrderAnswer(AnswerBody):
    """Amounts are decimals, and with `_minor` in minor units of the currency, such as cents."""

    id: UUID
    number: Annotated[str, Field(examples=["B7Q2-M4XK"])]
    """For people to read and quote. It gives no access to the order."""
    status: OrderStatus
    payment_status: OrderPaymentStatus
    """`held`: what was paid is not what was ordered, and staff look at it."""
    user_id: UUID | None
    """Null when the buyer's account was deleted."""
    total_amount: Amount
    """With shipping."""
    total_minor: int
    shipping_amount: Amount
    shipping_minor: int
    refunded_amount: Amount
    """What went back to the buyer."""
    refunded_minor: int
    currency: str
    items: list[OrderItemAnswer]
    ship_to: AddressAnswer | None
    note: str | None
    tracking: str | None
    reserved_until: datetime
    """An order that is not paid by then is cancelled."""
    stripe_payment_intent_id: str | None
    payment_id: UUID | None
    cancel_reason: str | None
    created_at: datetime
    confirmed_at: datetime | None
    shipped_at: datetime | None
    delivered_at: datetime | None
    cancelled_at: datetime | None
    updated_at: datetime


class OrdersQuery(ListQuery):
    status: OrderStatus | None = None


class OrdersAnswer(ListAnswer):
    orders: list[OrderAnswer]


class AllOrdersQuery(OrdersQuery):
    user_id: UUID | None = None
    q: Annotated[str | None, Field(min_length=1, max_length=200, json_schema_extra={"pattern": SEEN}), NOT_BLANK] = None
    """The beginning of an order's number, a part of the name that it goes to, the tracking, or the e-mail address of the buyer."""


class OrderEventAnswer(AnswerBody):
    id: UUID
    from_status: OrderStatus | None
    """Null: the order was placed."""
    to_status: OrderStatus
    actor: Actor
    actor_id: UUID | None
    """The member of the staff. Only staff see it."""
    reason: str | None
    """Only staff see what staff wrote."""
    at: datetime


class OrderEventsAnswer(ListAnswer):
    events: list[OrderEventAnswer]
