"""The JSON that Stripe's routes take and give."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from auth.tiers import Tier
from payments.product_table import BillingCycle
from payments.stripe.redirects import LONGEST
from security.api.models import AnswerBody, Body

WebAddress = Annotated[str, Field(min_length=1, max_length=LONGEST, examples=["https://app.example.com/billing"])]


class PaidTier(StrEnum):
    PLUS = "plus"
    PRO = "pro"
    TEAM = "team"
    ENTERPRISE = "enterprise"

    @property
    def tier(self) -> Tier:
        return Tier(self.value)


class CheckoutBody(Body):
    """`success_url` and `cancel_url` must begin with an origin that the server trusts."""

    tier: PaidTier
    billing_cycle: BillingCycle
    success_url: WebAddress | None = None
    cancel_url: WebAddress | None = None


class CheckoutAnswer(AnswerBody):
    payment_id: UUID
    """Use it with `GET /api/payments/{payment_id}` to get the status."""
    session_id: str
    checkout_url: str
    """Send the customer to this address."""
    expires_at: datetime


class PortalBody(Body):
    return_url: WebAddress | None = None


class PortalAnswer(AnswerBody):
    portal_url: str
    """Works for a few minutes, and only for this customer."""


class ChangeBody(Body):
    tier: PaidTier
    billing_cycle: BillingCycle


class ReceivedAnswer(AnswerBody):
    received: Literal[True] = True
