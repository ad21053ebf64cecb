"""The filters of subscriptions and payments."""

from typing import Annotated

from pydantic import Field

from admin.list_filter import ListFilter
from auth.tiers import Tier
from payments.purchases.status import PaymentStatus
from payments.subscriptions.status import Provider, SubscriptionStatus

ExternalId = Annotated[str, Field(max_length=255)]
"""The provider's own."""


class SubscriptionsQuery(ListFilter):
    provider: Provider | None = None
    status: SubscriptionStatus | None = None
    tier: Tier | None = None
    provider_id: ExternalId | None = None


class PaymentsQuery(ListFilter):
    status: PaymentStatus | None = None
    provider_id: ExternalId | None = None
