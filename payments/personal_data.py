"""What payments hold about a user, for exports, and what becomes of it when an account is closed and deleted."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session

from auth.personal_data import PersonalData, rows_of
from payments.models import BillingCustomer, CheckoutIntent, EntitlementChange, Payment, Subscription
from payments.subscriptions.close_account import end_subscriptions, let_go_of_subscriptions

EXPORTED: Final[dict[str, tuple[InstrumentedAttribute[Any], ...]]] = {
    "subscriptions": (
        Subscription.id,
        Subscription.provider,
        Subscription.environment,
        Subscription.stripe_subscription_id,
        Subscription.apple_transaction_id,
        Subscription.product_id,
        Subscription.tier,
        Subscription.pending_tier,
        Subscription.status,
        Subscription.provider_status,
        Subscription.trial,
        Subscription.period_end,
        Subscription.grace_end,
        Subscription.payment_failed_at,
        Subscription.cancel_at,
        Subscription.revoked_at,
        Subscription.bound_at,
        Subscription.created_at,
        Subscription.updated_at,
    ),
    "payments": (
        Payment.id,
        Payment.provider,
        Payment.external_id,
        Payment.purchase_kind,
        Payment.purchase_id,
        Payment.quantity,
        Payment.amount,
        Payment.currency,
        Payment.refunded_amount,
        Payment.status,
        Payment.reserved_until,
        Payment.fulfilled_at,
        Payment.asked_at,
        Payment.created_at,
        Payment.updated_at,
    ),
    "tiers": (
        EntitlementChange.id,
        EntitlementChange.at,
        EntitlementChange.from_tier,
        EntitlementChange.to_tier,
        EntitlementChange.expires_at,
        EntitlementChange.source,
    ),
    "customers": (
        BillingCustomer.id,
        BillingCustomer.stripe_customer_id,
        BillingCustomer.apple_account_token,
        BillingCustomer.created_at,
    ),
    "checkouts": (
        CheckoutIntent.id,
        CheckoutIntent.provider,
        CheckoutIntent.kind,
        CheckoutIntent.tier,
        CheckoutIntent.billing_cycle,
        CheckoutIntent.parameters,
        CheckoutIntent.state,
        CheckoutIntent.external_id,
        CheckoutIntent.url,
        CheckoutIntent.expires_at,
        CheckoutIntent.asked_at,
        CheckoutIntent.created_at,
        CheckoutIntent.updated_at,
    ),
}


def export_payments(session: Session, user_id: UUID) -> dict[str, Any]:
    """Amounts are in minor units of their currency."""
    found = {}
    for name, columns in EXPORTED.items():
        table = columns[0].class_
        found[name] = rows_of(session, select(*columns).where(table.user_id == user_id).order_by(table.id))
    return found


PAYMENTS_DATA = PersonalData("payments", export_payments, close=end_subscriptions, erase=let_go_of_subscriptions)
