"""The settings of the shop: its currency, how long an unpaid order holds its goods, what shipping costs, who is told."""

from collections.abc import Iterator
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints

from auth.email_address import EmailAddressNotAcceptable, parse_email
from payments.stripe.settings import StripeSection
from settings import types
from settings.section import Complaint


def _address(text: str) -> str:
    try:
        return parse_email(text).address
    except EmailAddressNotAcceptable:
        raise ValueError("must be an e-mail address such as sales@example.com") from None


CurrencyCode = Annotated[str, StringConstraints(pattern=r"^[a-z]{3}$")]


class ShopSection(StripeSection):
    title: ClassVar = "Shop"

    shop_currency: CurrencyCode = "usd"
    """The currency of products that name none, in lower case (ISO 4217)."""
    shop_reservation_minutes: int = Field(default=30, ge=5, le=1440)
    """How long an order that is not paid holds its goods. Then it is cancelled."""
    shop_max_open_orders: int = Field(default=5, ge=1, le=100)
    """How many orders of one user may wait for payment at once."""
    shop_shipping_minor: int = Field(default=0, ge=0, le=10_000_000)
    """What shipping adds to an order that ships, in minor units of its currency, such as cents."""
    shop_notify_email: Annotated[str, AfterValidator(_address)] | None = Field(
        default=None, examples=["sales@example.com"]
    )
    """Who is told of each order that is paid."""
    shop_order_url: types.HttpUrl | None = Field(default=None, examples=["https://shop.example.com/orders"])
    """Where the links in e-mails about orders lead. The order's number is added as `?order=`."""

    def contradictions(self) -> Iterator[Complaint]:
        if self.stripe_secret_key is None:
            yield "STRIPE_SECRET_KEY", "must be set: the shop takes payments with Stripe"

    def unsafe(self) -> Iterator[Complaint]:
        if urlsplit(self.shop_order_url or "https:").scheme != "https":
            yield "SHOP_ORDER_URL", "must begin with https://"
