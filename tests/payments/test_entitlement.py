"""The one function from a user's subscriptions to a tier."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.tiers import Tier
from payments.models import Subscription
from payments.subscriptions.entitlement import (
    FREE,
    HANDOVER,
    RENEWAL_LEEWAY,
    Entitlement,
    access_until,
    entitlement,
)
from payments.subscriptions.status import Provider, SubscriptionStatus

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=10)
MOMENTS = st.datetimes(datetime(2026, 5, 1), datetime(2026, 8, 1), timezones=st.just(UTC))  # noqa: DTZ001
HOLDINGS = st.builds(
    Subscription,
    provider=st.sampled_from(Provider),
    tier=st.sampled_from(Tier),
    status=st.sampled_from(SubscriptionStatus),
    period_end=st.none() | MOMENTS,
    grace_end=st.none() | MOMENTS,
    cancel_at=st.none() | MOMENTS,
    revoked_at=st.none() | MOMENTS,
)
WITHOUT_ACCESS = frozenset(SubscriptionStatus) - {
    SubscriptionStatus.ACTIVE,
    SubscriptionStatus.TRIALING,
    SubscriptionStatus.GRACE,
    SubscriptionStatus.BILLING_RETRY,
    SubscriptionStatus.UNKNOWN,
}


def pro(status: SubscriptionStatus = SubscriptionStatus.ACTIVE, **more: datetime | None) -> Subscription:
    return Subscription(provider=Provider.STRIPE, tier=Tier.PRO, status=status, **more)


def enterprise(**more: datetime | None) -> Subscription:
    return Subscription(provider=Provider.APPLE, tier=Tier.ENTERPRISE, status=SubscriptionStatus.ACTIVE, **more)


def test_nothing_is_free() -> None:
    assert entitlement([], NOW) == FREE


@pytest.mark.parametrize(
    ("holding", "until"),
    [
        (pro(period_end=LATER), LATER + RENEWAL_LEEWAY),
        (pro(period_end=LATER, cancel_at=LATER), LATER),
        (pro(period_end=LATER, cancel_at=NOW + timedelta(days=1)), NOW + timedelta(days=1)),
        (pro(period_end=LATER, cancel_at=LATER + timedelta(days=9)), LATER + RENEWAL_LEEWAY),
        (pro(period_end=LATER, cancel_at=LATER + timedelta(minutes=1)), LATER + timedelta(minutes=1)),
        (pro(SubscriptionStatus.TRIALING, period_end=LATER), LATER + RENEWAL_LEEWAY),
        (pro(SubscriptionStatus.GRACE, period_end=NOW, grace_end=LATER), LATER),
        (pro(SubscriptionStatus.BILLING_RETRY, period_end=LATER), LATER),
        (pro(SubscriptionStatus.UNKNOWN, period_end=LATER), LATER),
        (pro(), None),
    ],
    ids=[
        "renewing",
        "cancelled",
        "cancelled earlier",
        "cancelled for a later period",
        "cancelled within the leeway",
        "trial",
        "grace",
        "retry",
        "unknown",
        "without end",
    ],
)
def test_access_lasts_until(holding: Subscription, until: datetime | None) -> None:
    assert entitlement([holding], NOW) == Entitlement(Tier.PRO, until, Provider.STRIPE)
    if until is not None:
        assert entitlement([holding], until) == FREE
        assert entitlement([holding], until - timedelta(microseconds=1)).tier is Tier.PRO


@pytest.mark.parametrize("status", sorted(WITHOUT_ACCESS))
def test_these_give_no_access(status: SubscriptionStatus) -> None:
    assert entitlement([pro(status, period_end=LATER, grace_end=LATER)], NOW) == FREE


def test_what_was_revoked_gives_no_access() -> None:
    assert entitlement([pro(period_end=LATER, revoked_at=NOW)], NOW) == FREE


def test_an_unknown_status_grants_nothing_new() -> None:
    assert entitlement([pro(SubscriptionStatus.UNKNOWN)], NOW) == FREE


def test_the_highest_tier_counts_and_hands_over_without_a_gap() -> None:
    both = [pro(period_end=LATER), enterprise(period_end=NOW + timedelta(days=1), cancel_at=NOW + timedelta(days=1))]
    end = NOW + timedelta(days=1)
    first = entitlement(both, NOW)
    assert first == Entitlement(Tier.ENTERPRISE, end + HANDOVER, Provider.APPLE)
    assert entitlement(both, end) == Entitlement(Tier.PRO, LATER + RENEWAL_LEEWAY, Provider.STRIPE)


def test_nothing_is_added_when_nothing_goes_on() -> None:
    end = NOW + timedelta(days=1)
    both = [pro(period_end=end, cancel_at=end), enterprise(period_end=LATER, cancel_at=LATER)]
    assert entitlement(both, NOW).expires_at == LATER


@given(st.lists(HOLDINGS, max_size=4), MOMENTS)
def test_the_order_of_the_rows_means_nothing(holdings: list[Subscription], now: datetime) -> None:
    forward, backward = entitlement(holdings, now), entitlement(holdings[::-1], now)
    assert (forward.tier, forward.expires_at) == (backward.tier, backward.expires_at)


@given(st.lists(HOLDINGS, max_size=4), HOLDINGS, MOMENTS)
def test_one_more_subscription_never_lowers_the_tier(
    holdings: list[Subscription], more: Subscription, now: datetime
) -> None:
    assert entitlement([*holdings, more], now).tier.rank >= entitlement(holdings, now).tier.rank


@given(st.lists(HOLDINGS, max_size=4), MOMENTS)
def test_a_tier_never_outlasts_its_subscriptions_by_more_than_the_handover(
    holdings: list[Subscription], now: datetime
) -> None:
    found = entitlement(holdings, now)
    if found.expires_at is None:
        return
    ends = [end for held in holdings if held.tier is found.tier and (end := access_until(held)) is not None]
    assert now < found.expires_at <= max(ends) + HANDOVER


@given(st.lists(HOLDINGS, max_size=4), MOMENTS, MOMENTS)
def test_a_tier_written_down_is_still_right_until_it_expires(
    holdings: list[Subscription], now: datetime, later: datetime
) -> None:
    """No job runs in between: before its end nobody has less than is due, and after all ends nobody has anything."""
    written = entitlement(holdings, now)
    if later >= now and (written.expires_at is None or later < written.expires_at):
        assert written.tier.rank >= entitlement(holdings, later).tier.rank


@given(st.lists(HOLDINGS, max_size=4), MOMENTS)
def test_free_has_no_source_and_a_tier_has_one(holdings: list[Subscription], now: datetime) -> None:
    found = entitlement(holdings, now)
    assert (found.source is None) == (found.tier is Tier.FREE)
