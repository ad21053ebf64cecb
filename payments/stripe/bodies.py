"""The JSON that Stripe's routes take and give."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from auth.tiers import Tier
from payments.product_table import BillingCycle
from payments.purchases.read import PaymentKind
from payments.purchases.status import PaymentStatus
from payments.stripe.redirects import LONGEST
from security.api.operation import WHOLE, AnswerBody, Body

WebAddress = Annotated[str, Field(min_length=1, max_length=LONGEST, examples=["https://app.example.com/billing"])]


class PaidTier(StrEnum):
    PRO = "pro"
    ENTERPRISE = "enterprise"

    @property
    def tier(self) -> Tier:
        return Tier(self.value)


class CheckoutBody(Body):
    """`success_url` and `cancel_url` must begin with an origin that this API was told to trust."""

    tier: PaidTier
    billing_cycle: BillingCycle
    success_url: WebAddress | None = None
    cancel_url: WebAddress | None = None


class CheckoutAnswer(AnswerBody):
    payment_id: UUID
    """For `GET /api/payments/{payment_id}`, which says what became of it."""
    session_id: str
    checkout_url: str
    """Lead the customer there."""
    expires_at: datetime


class PortalBody(Body):
    return_url: WebAddress | None = None


class PortalAnswer(AnswerBody):
    portal_url: str
    """Works for a few minutes, for this customer alone."""


class ChangeBody(Body):
    tier: PaidTier
    billing_cycle: BillingCycle


class ReceivedAnswer(AnswerBody):
    received: Literal[True] = True


class CreateIntentBody(Body):
    """What is bought, never what it costs."""

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
    client_secret: str | None
    """For Stripe's library on the buyer's device; null when there is nothing left to do."""


class PaymentAnswer(AnswerBody):
    """A checkout has a tier and a billing cycle; something that is sold once has an item, a quantity and an amount."""

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
