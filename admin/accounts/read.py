"""Everything that the staff may see of one account, on one page. Nothing secret, and nothing of what the user asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from auth.api_keys.list import is_live
from auth.audit.models import SecurityEvent
from auth.impersonation.models import Impersonation
from auth.models import ApiKey, AuthSession, Identity, User
from auth.second_factor.factors import Factors, factors_of
from auth.second_factor.models import Passkey
from auth.tiers import Tier, effective_tier
from database import reading
from metering.capability import FeatureLimits
from metering.limits import CALL, FAILURE
from metering.models import RequestLog, UsageCounter
from metering.windows import day_of, hour_of, month_of
from payments.models import CHECKOUT, BillingCustomer, CheckoutIntent, EntitlementChange, Payment, Subscription

A_FEW = 10
MANY = 50

Plans = Mapping[Tier, Mapping[str, FeatureLimits]]
"""What each tier allows of each feature that is on."""


@dataclass(frozen=True)
class FeatureUsage:
    """Of one feature now. `published` is what the plan allows, by name; None is unlimited."""

    feature: str
    calls_today: int
    failures_this_hour: int
    calls_per_day: int | None
    published: Mapping[str, int | None]


@dataclass(frozen=True)
class Account:
    """The newest rows of each kind come first; the lists of their own have the rest."""

    user: User
    tier: Tier
    """The one that counts now."""
    customer: BillingCustomer | None
    sessions: Sequence[AuthSession]
    api_keys: Sequence[ApiKey]
    factors: Factors
    passkeys: Sequence[Passkey]
    identities: Sequence[Identity]
    usage: Sequence[FeatureUsage]
    further_counters: Sequence[UsageCounter]
    """Of today, this hour and this month, beside those of `usage`: tokens, money."""
    calls: Sequence[RequestLog]
    subscriptions: Sequence[Subscription]
    tier_changes: Sequence[EntitlementChange]
    payments: Sequence[Payment]
    checkouts: Sequence[CheckoutIntent]
    events: Sequence[SecurityEvent]
    impersonations: Sequence[Impersonation]
    """Those that run now."""


def read_user(user_id: UUID) -> User | None:
    with reading() as session:
        return session.get(User, user_id)


def read_account(user_id: UUID, plans: Plans, now: datetime) -> Account | None:
    """None when there is no such account."""
    windows = [each.name for each in (day_of(now), hour_of(now), month_of(now))]
    with reading() as session:
        user = session.get(User, user_id)
        if user is None:
            return None
        tier = effective_tier(Tier(user.tier), user.tier_expires_at, now)
        counters = session.scalars(
            select(UsageCounter)
            .where(UsageCounter.user_id == user_id, UsageCounter.window.in_(windows))
            .order_by(UsageCounter.feature, UsageCounter.unit, UsageCounter.window)
        ).all()
        return Account(
            user=user,
            tier=tier,
            customer=session.scalars(select(BillingCustomer).where(BillingCustomer.user_id == user_id)).one_or_none(),
            sessions=session.scalars(
                select(AuthSession)
                .where(AuthSession.user_id == user_id, AuthSession.revoked_at.is_(None))
                .where(AuthSession.idle_expires_at > now, AuthSession.expires_at > now)
                .order_by(AuthSession.id.desc())
                .limit(MANY)
            ).all(),
            api_keys=session.scalars(
                select(ApiKey)
                .where(ApiKey.user_id == user_id)
                .order_by(is_live(now).desc(), ApiKey.id.desc())
                .limit(MANY)
            ).all(),
            factors=factors_of(session, user_id),
            passkeys=session.scalars(
                select(Passkey).where(Passkey.user_id == user_id).order_by(Passkey.id.desc()).limit(MANY)
            ).all(),
            identities=session.scalars(select(Identity).where(Identity.user_id == user_id)).all(),
            usage=_usage(plans[tier], counters, now),
            further_counters=[each for each in counters if each.unit not in {CALL, FAILURE}],
            calls=session.scalars(
                select(RequestLog)
                .where(RequestLog.user_id == user_id)
                .order_by(RequestLog.created_at.desc(), RequestLog.id.desc())
                .limit(A_FEW)
            ).all(),
            subscriptions=session.scalars(
                select(Subscription).where(Subscription.user_id == user_id).order_by(Subscription.id.desc()).limit(MANY)
            ).all(),
            tier_changes=session.scalars(
                select(EntitlementChange)
                .where(EntitlementChange.user_id == user_id)
                .order_by(EntitlementChange.id.desc())
                .limit(A_FEW)
            ).all(),
            payments=session.scalars(
                select(Payment).where(Payment.user_id == user_id).order_by(Payment.id.desc()).limit(A_FEW)
            ).all(),
            checkouts=session.scalars(
                select(CheckoutIntent)
                .where(CheckoutIntent.user_id == user_id, CheckoutIntent.kind == CHECKOUT)
                .order_by(CheckoutIntent.id.desc())
                .limit(A_FEW)
            ).all(),
            events=session.scalars(
                select(SecurityEvent)
                .where(SecurityEvent.user_id == user_id)
                .order_by(SecurityEvent.occurred_at.desc(), SecurityEvent.id.desc())
                .limit(A_FEW)
            ).all(),
            impersonations=session.scalars(
                select(Impersonation).where(
                    Impersonation.user_id == user_id, Impersonation.ended_at.is_(None), Impersonation.expires_at > now
                )
            ).all(),
        )


def _usage(plan: Mapping[str, FeatureLimits], counters: Sequence[UsageCounter], now: datetime) -> list[FeatureUsage]:
    used = {(each.feature, each.unit, each.window): each.used for each in counters}
    today, hour = day_of(now).name, hour_of(now).name
    return [
        FeatureUsage(
            feature=feature,
            calls_today=used.get((feature, CALL, today), 0),
            failures_this_hour=used.get((feature, FAILURE, hour), 0),
            calls_per_day=limits.published().get("per_day"),
            published=limits.published(),
        )
        for feature, limits in plan.items()
    ]
