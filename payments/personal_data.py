"""What payments hold about a user, for exports, and what becomes of it when an account is closed and deleted."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth.personal_data import PersonalData, columns_of, rows_of
from payments.billing.close_account import bill_last_period, forget_reasons
from payments.models import (
    BillingCredit,
    BillingCustomer,
    BillingPeriod,
    CheckoutIntent,
    EntitlementChange,
    Payment,
    Subscription,
)
from payments.subscriptions.close_account import end_subscriptions, let_go_of_subscriptions

EXPORTED: Final = {
    "subscriptions": columns_of(
        Subscription,
        "id provider environment stripe_subscription_id apple_transaction_id product_id tier pending_tier status provider_status "
        "trial period_end grace_end payment_failed_at cancel_at revoked_at lapsed_at price_amount price_currency price_months "
        "bound_at created_at updated_at",
    ),
    "payments": columns_of(
        Payment,
        "id provider external_id purchase_kind purchase_id quantity amount currency refunded_amount status reserved_until "
        "fulfilled_at asked_at created_at updated_at",
    ),
    "tiers": columns_of(EntitlementChange, "id at from_tier to_tier expires_at source"),
    "customers": columns_of(BillingCustomer, "id stripe_customer_id apple_account_token created_at"),
    "checkouts": columns_of(
        CheckoutIntent,
        "id provider kind tier billing_cycle parameters state external_id expires_at asked_at created_at updated_at",
    ),
    "billing_periods": columns_of(
        BillingPeriod,
        "id period state requests charges_micros credits_cents amount_cents currency closed_at due_at paid_at payment_id",
    ),
    "billing_credits": columns_of(BillingCredit, "id cents reason carried_from statement_id created_at"),
}


def export_payments(session: Session, user_id: UUID) -> dict[str, Any]:
    """Amounts are in minor units of their currency."""
    found = {}
    for name, columns in EXPORTED.items():
        table = columns[0].class_
        found[name] = rows_of(session, select(*columns).where(table.user_id == user_id).order_by(table.id))
    return found


def end_payments(session: Session, user_id: UUID, now: datetime) -> Sequence[str]:
    """See `PersonalData.close`."""
    return (*end_subscriptions(session, user_id, now), *bill_last_period(session, user_id, now))


def let_go_of_payments(session: Session, user_id: UUID) -> int:
    """See `PersonalData.erase`."""
    return let_go_of_subscriptions(session, user_id) + forget_reasons(session, user_id)


PAYMENTS_DATA = PersonalData("payments", export_payments, close=end_payments, erase=let_go_of_payments)
