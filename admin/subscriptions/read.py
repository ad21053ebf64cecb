"""Reading subscriptions and one-off payments, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select

from admin.listed import Listed
from auth.models import User
from auth.tiers import Tier
from database import reading
from database.pages import Page, newest_first, page_of
from payments.models import EntitlementChange, Item, Payment, Subscription
from payments.purchases.items import ITEM
from payments.purchases.status import PaymentStatus
from payments.subscriptions.entitlement import FOREVER, Entitlement, access_until, entitlement
from payments.subscriptions.status import Provider, SubscriptionStatus

A_FEW = 20


@dataclass(frozen=True)
class SubscriptionFilter:
    user_id: UUID | None = None
    provider: Provider | None = None
    status: SubscriptionStatus | None = None
    tier: Tier | None = None
    external_id: str | None = None
    """The provider's own."""


@dataclass(frozen=True)
class SubscriptionDetail:
    """`counts_until`: None when it does not count; FOREVER without an end. `due` is what all of the owner's make together; None
    without an owner. Neither is known when a status is one that this release does not know: `not_understood`.
    """

    row: Subscription
    owner: User | None
    counts_until: datetime | None
    due: Entitlement | None
    tier_changes: Sequence[EntitlementChange]
    """Of the owner."""
    not_understood: bool = False

    @property
    def never_ends(self) -> bool:
        return self.counts_until == FOREVER


def list_subscriptions(wanted: SubscriptionFilter, cursor: UUID | None, limit: int) -> Page[Listed[Subscription]]:
    query = select(Subscription, User.email).outerjoin(User, User.id == Subscription.user_id)
    if wanted.user_id is not None:
        query = query.where(Subscription.user_id == wanted.user_id)
    if wanted.provider is not None:
        query = query.where(Subscription.provider == wanted.provider)
    if wanted.status is not None:
        query = query.where(Subscription.status == wanted.status)
    if wanted.tier is not None:
        query = query.where(Subscription.tier == wanted.tier)
    if wanted.external_id is not None:
        ids = (Subscription.stripe_subscription_id, Subscription.apple_transaction_id)
        query = query.where(or_(*(each == wanted.external_id for each in ids)))
    with reading() as session:
        found = session.execute(newest_first(query, Subscription.id, cursor, limit)).all()
    return page_of([Listed(row.id, row, email) for row, email in found], limit)


def read_subscription(subscription_id: UUID, now: datetime) -> SubscriptionDetail | None:
    with reading() as session:
        row = session.get(Subscription, subscription_id)
        if row is None:
            return None
        owner = None if row.user_id is None else session.get(User, row.user_id)
        if owner is None:
            changes: Sequence[EntitlementChange] = ()
            all_of_owner: Sequence[Subscription] = ()
        else:
            changes = session.scalars(
                select(EntitlementChange)
                .where(EntitlementChange.user_id == owner.id)
                .order_by(EntitlementChange.id.desc())
                .limit(A_FEW)
            ).all()
            all_of_owner = session.scalars(select(Subscription).where(Subscription.user_id == owner.id)).all()
    try:
        due = None if owner is None else entitlement(all_of_owner, now)
        return SubscriptionDetail(row, owner, access_until(row), due, changes)
    except ValueError:  # written by another release
        return SubscriptionDetail(row, owner, None, None, changes, not_understood=True)


@dataclass(frozen=True)
class PaymentFilter:
    user_id: UUID | None = None
    status: PaymentStatus | None = None
    external_id: str | None = None


@dataclass(frozen=True)
class Bought:
    """`item` is the code of what was bought, where it was an item."""

    payment: Payment
    item: str | None


def list_payments(wanted: PaymentFilter, cursor: UUID | None, limit: int) -> Page[Listed[Bought]]:
    query = (
        select(Payment, User.email, Item.code)
        .outerjoin(User, User.id == Payment.user_id)
        .outerjoin(Item, (Item.id == Payment.purchase_id) & (Payment.purchase_kind == ITEM))
    )
    if wanted.user_id is not None:
        query = query.where(Payment.user_id == wanted.user_id)
    if wanted.status is not None:
        query = query.where(Payment.status == wanted.status)
    if wanted.external_id is not None:
        query = query.where(Payment.external_id == wanted.external_id)
    with reading() as session:
        found = session.execute(newest_first(query, Payment.id, cursor, limit)).all()
    return page_of([Listed(row.id, Bought(row, item), email) for row, email, item in found], limit)
