"""What ends when an account is deleted. Called by the account-deletion command in its own transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from payments.grant_tier import StateChange, lock_user, recompute_tier
from payments.models import BillingCustomer, Subscription
from payments.subscription_status import ENDED, Provider

CancelAtStripe = Callable[[Session, str], object]
"""Enqueues the cancellation of a Stripe subscription in the caller's transaction."""


@dataclass(frozen=True)
class ClosedBilling:
    """`cancel_with_apple`: the user still pays Apple, and only they can stop that; tell them so."""

    cancel_with_apple: bool
    change: StateChange | None
    """For `auth.states.changed` after the commit."""


def close_billing(
    session: Session, user_id: UUID, now: datetime, *, cancel_at_stripe: CancelAtStripe | None = None
) -> ClosedBilling:
    """Let go of every subscription. Call it before the user's row is deleted or emptied.

    The rows stay without an owner and can never be claimed again, so a receipt cannot be carried to a new account, and
    what the providers still send about them changes nobody.
    """
    if not lock_user(session, user_id):
        return ClosedBilling(cancel_with_apple=False, change=None)
    rows = session.scalars(
        select(Subscription).where(Subscription.user_id == user_id, Subscription.status.not_in(ENDED))
    ).all()
    for row in rows:
        if row.stripe_subscription_id is not None and cancel_at_stripe is not None:
            cancel_at_stripe(session, row.stripe_subscription_id)
    cancel_with_apple = any(row.provider == Provider.APPLE and row.cancel_at is None for row in rows)
    session.execute(
        delete(Subscription).where(Subscription.user_id == user_id, Subscription.provider == Provider.MANUAL)
    )
    for table in (Subscription, BillingCustomer):
        session.execute(update(table).where(table.user_id == user_id).values(user_id=None))
    session.expire_all()
    return ClosedBilling(cancel_with_apple, recompute_tier(session, user_id, cause="account deleted", now=now))
