"""The JSON of one-off payments."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from auth.tiers import Tier
from payments.product_table import BillingCycle
from payments.purchases.status import PaymentStatus
from security.api.models import WHOLE, AnswerBody, Body


class PaymentKind(StrEnum):
    CHECKOUT = "checkout"
    ONE_OFF = "one_off"


class CreateIntentBody(Body):
    """What to buy. The server sets the price."""

    item: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", examples=["day-pass"])]
    quantity: Annotated[int, Field(ge=1, le=100), WHOLE] = 1


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


class PaymentAnswer(AnswerBody):
    """A checkout has a tier and a billing cycle. A one-off payment has an item, a quantity and an amount."""

    id: UUID
    kind: PaymentKind
    status: str
    tier: Tier | None
    billing_cycle: BillingCycle | None
    item: str | None
    quantity: int | None
    amount: int | None
    currency: str | None
    refunded_amount: int | None
