"""The JSON of one-off payments."""

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import Discriminator, Field, Tag

from auth.tiers import Tier
from payments.product_table import BillingCycle
from payments.purchases.status import PaymentStatus
from security.api.models import WHOLE, AnswerBody, Body, OneOfBody


class PaymentKind(StrEnum):
    CHECKOUT = "checkout"
    ONE_OFF = "one_off"


class ItemIntent(Body):
    item: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", examples=["day-pass"])]
    quantity: Annotated[int, Field(ge=1, le=100), WHOLE] = 1


class OrderIntent(Body):
    order_id: UUID
    """An order of the shop that waits for its payment. It is paid in full, with its shipping."""


def _form_of(document: Any) -> str | None:
    members = document.keys() if isinstance(document, dict) else set()
    if "order_id" not in members:
        return "item"
    return None if "item" in members else "order"


ONE_PURCHASE = Discriminator(
    _form_of, custom_error_type="one_of", custom_error_message="Send either item and quantity or order_id"
)


class CreateIntentBody(
    OneOfBody[Annotated[Annotated[ItemIntent, Tag("item")] | Annotated[OrderIntent, Tag("order")], ONE_PURCHASE]]
):
    """What to pay: `item` with a `quantity` (1 unless you send one), or `order_id`. The server sets the price."""


class ConfirmIntentBody(Body):
    payment_id: UUID
    payment_method: Annotated[str, Field(pattern=r"^pm_[A-Za-z0-9_]{1,120}$", examples=["pm_1Q0PsIJvEtkwdCNYMSaVuRz6"])]


class OpenPaymentAnswer(AnswerBody):
    id: UUID
    status: PaymentStatus
    amount: int
    """In the currency's minor units."""
    currency: str
    client_secret: str | None = Field(repr=False)
    """For Stripe's library on the buyer's device. Null when there is nothing left to do."""
    order_id: UUID | None
    """The order that it pays. Null for anything else."""


class PaymentAnswer(AnswerBody):
    """A checkout has a tier and a billing cycle. A one-off payment has an amount, and an item with a quantity or an order."""

    id: UUID
    kind: PaymentKind
    status: str
    tier: Tier | None
    billing_cycle: BillingCycle | None
    item: str | None
    order_id: UUID | None
    quantity: int | None
    amount: int | None
    currency: str | None
    refunded_amount: int | None
