"""When one of two subscriptions ends."""

from datetime import timedelta
from uuid import UUID

import pytest

from auth.tiers import Tier
from payments.subscriptions.entitlement import HANDOVER, RENEWAL_LEEWAY
from payments.subscriptions.status import Provider
from tests.payments.facts import fact
from tests.payments.payments_app import MovableClock, RunningPayments

DAY = timedelta(days=1)


@pytest.fixture
def clock(running: RunningPayments) -> MovableClock:
    assert isinstance(running.clock, MovableClock)
    return running.clock


def two_subscriptions(running: RunningPayments, clock: MovableClock) -> UUID:
    alice = running.user()
    end = clock.now + DAY
    running.record(fact(period_end=clock.now + 30 * DAY, cancel_at=clock.now + 30 * DAY), alice)
    running.record(
        fact(
            provider=Provider.APPLE,
            environment="Production",
            external_id="1000",
            tier=Tier.ENTERPRISE,
            period_end=end,
            cancel_at=end,
        ),
        alice,
    )
    return alice


def test_the_lower_tier_goes_on_without_a_gap(running: RunningPayments, clock: MovableClock) -> None:
    alice = two_subscriptions(running, clock)
    assert running.tier(alice) is Tier.ENTERPRISE
    clock.now += DAY
    assert running.tier(alice) is Tier.ENTERPRISE
    assert running.run_job("hand_over_tiers") == 1
    assert running.tier(alice) is Tier.PRO
    clock.now += 29 * DAY
    assert running.run_job("hand_over_tiers") == 1
    assert running.ledger(alice)[-3:] == [
        ("pro", "enterprise"),
        ("enterprise", "pro"),
        ("pro", "free"),
    ]


def test_nothing_is_handed_over_before_its_time(running: RunningPayments, clock: MovableClock) -> None:
    two_subscriptions(running, clock)
    clock.now += DAY - timedelta(seconds=1)
    assert running.run_job("hand_over_tiers") == 0


def test_with_all_workers_dead_the_higher_tier_ends_soon(running: RunningPayments, clock: MovableClock) -> None:
    alice = two_subscriptions(running, clock)
    clock.now += DAY + HANDOVER
    assert running.tier(alice) is not Tier.ENTERPRISE


def test_with_all_workers_dead_a_renewing_tier_ends_soon(running: RunningPayments, clock: MovableClock) -> None:
    alice = running.user()
    running.record(fact(period_end=clock.now + DAY), alice)
    clock.now += DAY + RENEWAL_LEEWAY - timedelta(microseconds=1)
    assert running.tier(alice) is Tier.PRO
    clock.now += timedelta(microseconds=1)
    assert running.tier(alice) is Tier.FREE
