"""Writing facts down: order, grace, products, owners."""

from datetime import timedelta
from itertools import permutations
from threading import Barrier, Thread
from typing import Any

import pytest

from auth.tiers import Tier
from payments.subscriptions.record import Recorded
from payments.subscriptions.status import Provider, SubscriptionStatus
from tests.payments.facts import fact
from tests.payments.payments_app import MovableClock, RunningPayments

MONTH = timedelta(days=30)
APPLE: dict[str, Any] = {"provider": Provider.APPLE, "environment": "Production", "external_id": "1000"}


@pytest.fixture
def clock(running: RunningPayments) -> MovableClock:
    assert isinstance(running.clock, MovableClock)
    return running.clock


def test_a_live_subscription_gives_its_tier_once(running: RunningPayments, clock: MovableClock) -> None:
    alice = running.user()
    for _ in range(3):
        running.record(fact(period_end=clock.now + MONTH), alice)
    assert running.tier(alice) is Tier.PRO
    assert running.ledger(alice) == [("free", "pro")]
    assert len(running.subscriptions()) == 1


def test_every_order_of_facts_ends_in_the_newest(running: RunningPayments, clock: MovableClock) -> None:
    end = clock.now + MONTH
    facts = [
        fact(1, period_end=None, status=SubscriptionStatus.INCOMPLETE),
        fact(2, period_end=end),
        fact(3, period_end=end, cancel_at=end),
    ]
    for number, order in enumerate(permutations(facts)):
        user = running.user(f"user{number}")
        for each in order:
            running.record(
                fact(
                    each.version,
                    period_end=each.period_end,
                    status=each.status,
                    cancel_at=each.cancel_at,
                    external_id=f"sub_{number}",
                ),
                user,
            )
        assert running.tier(user) is Tier.PRO
        assert running.subscriptions()[-1]["cancel_at"] == end


def test_an_older_fact_changes_nothing(running: RunningPayments, clock: MovableClock) -> None:
    alice = running.user()
    running.record(fact(2, period_end=clock.now + MONTH), alice)
    running.record(fact(1, period_end=None, status=SubscriptionStatus.CANCELED), alice)
    assert running.subscriptions()[0]["status"] == "active"
    assert running.tier(alice) is Tier.PRO


def test_a_newer_epoch_wins_over_a_higher_version(running: RunningPayments, clock: MovableClock) -> None:
    alice = running.user()
    running.record(fact(9, epoch=1, period_end=clock.now - MONTH), alice)
    running.record(fact(8, epoch=2, period_end=clock.now + MONTH), alice)
    assert running.tier(alice) is Tier.PRO


def test_grace_is_counted_from_the_first_failure(running: RunningPayments, clock: MovableClock) -> None:
    alice = running.user()
    began = clock.now
    running.record(fact(1, period_end=began + MONTH), alice)
    running.record(fact(2, period_end=began + 2 * MONTH, status=SubscriptionStatus.GRACE), alice)
    clock.advance(days=6)
    running.record(fact(3, period_end=began + 2 * MONTH, status=SubscriptionStatus.GRACE), alice)
    clock.now = began + timedelta(days=7) - timedelta(microseconds=1)
    assert running.tier(alice) is Tier.PRO
    clock.now = began + timedelta(days=7)
    assert running.tier(alice) is Tier.FREE


def test_a_payment_in_between_ends_the_grace_and_the_next_one_is_whole(
    running: RunningPayments, clock: MovableClock
) -> None:
    alice = running.user()
    running.record(fact(1, period_end=clock.now + MONTH, status=SubscriptionStatus.GRACE), alice)
    clock.advance(days=5)
    running.record(fact(2, period_end=clock.now + MONTH), alice)
    clock.advance(days=20)
    running.record(fact(3, period_end=clock.now + MONTH, status=SubscriptionStatus.GRACE), alice)
    assert running.subscriptions()[0]["grace_end"] == clock.now + timedelta(days=7)


def test_an_unknown_status_keeps_what_was_granted_to_its_end(running: RunningPayments, clock: MovableClock) -> None:
    alice = running.user()
    end = clock.now + MONTH
    running.record(fact(1, period_end=end, cancel_at=end), alice)
    running.record(fact(2, period_end=end + MONTH, status=SubscriptionStatus.UNKNOWN), alice)
    assert running.tier(alice) is Tier.PRO
    clock.now = end
    assert running.tier(alice) is Tier.FREE


def test_an_unknown_status_grants_nothing_new(running: RunningPayments, clock: MovableClock) -> None:
    alice = running.user()
    running.record(fact(1, period_end=clock.now + MONTH, status=SubscriptionStatus.UNKNOWN), alice)
    assert running.tier(alice) is Tier.FREE


def test_a_product_that_left_the_table_keeps_its_holders(running: RunningPayments, clock: MovableClock) -> None:
    alice = running.user()
    running.record(fact(1, period_end=clock.now + MONTH), alice)
    running.record(fact(2, period_end=clock.now + 2 * MONTH, tier=None), alice)
    clock.advance(days=40)
    assert running.tier(alice) is Tier.PRO


def test_a_foreign_product_is_not_written_down(running: RunningPayments, clock: MovableClock) -> None:
    assert running.record(fact(1, period_end=clock.now + MONTH, tier=None), running.user()) is None
    assert running.subscriptions() == []


def test_what_came_before_its_owner_is_bound_when_the_owner_appears(
    running: RunningPayments, clock: MovableClock
) -> None:
    running.record(fact(5, period_end=clock.now + MONTH, **APPLE))
    alice = running.user()
    running.record(fact(4, period_end=clock.now, **APPLE), alice)
    assert running.tier(alice) is Tier.PRO


def test_an_owner_is_never_replaced(running: RunningPayments, clock: MovableClock) -> None:
    alice, bob = running.user("alice"), running.user("bob")
    running.record(fact(1, period_end=clock.now + MONTH, **APPLE), alice)
    second = running.record(fact(2, period_end=clock.now + MONTH, **APPLE), bob)
    assert second is not None and second.user_id == alice
    assert running.tier(bob) is Tier.FREE


def test_the_same_id_of_another_environment_is_another_subscription(
    running: RunningPayments, clock: MovableClock
) -> None:
    running.record(fact(1, period_end=clock.now + MONTH, **APPLE), running.user("alice"))
    running.record(fact(1, period_end=clock.now + MONTH, **{**APPLE, "environment": "Sandbox"}), running.user("bob"))
    assert len(running.subscriptions()) == 2


def test_of_two_claims_at_once_one_wins(running: RunningPayments, clock: MovableClock) -> None:
    users = [running.user(f"user{number}") for number in range(6)]
    start = Barrier(len(users))
    owners: list[Recorded | None] = []

    def claim(user: object) -> None:
        start.wait()
        owners.append(running.record(fact(1, period_end=clock.now + MONTH, **APPLE), user))  # type: ignore[arg-type]

    threads = [Thread(target=claim, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(owners) == len(users)
    assert len({owner.user_id for owner in owners if owner is not None}) == 1
    assert sum(running.tier(user) is Tier.PRO for user in users) == 1


def test_a_deleted_account_leaves_a_subscription_that_nobody_can_claim(
    running: RunningPayments, clock: MovableClock
) -> None:
    alice, bob = running.user("alice"), running.user("bob")
    running.record(fact(1, period_end=clock.now + MONTH, **APPLE), alice)
    running.query("DELETE FROM users WHERE id = :alice", alice=alice)
    claimed = running.record(fact(2, period_end=clock.now + MONTH, **APPLE), bob)
    assert claimed is not None and claimed.user_id is None and claimed.was_owned
    assert running.tier(bob) is Tier.FREE


def test_a_device_that_knows_nothing_of_the_renewal_keeps_what_is_known(
    running: RunningPayments, clock: MovableClock
) -> None:
    alice = running.user()
    end = clock.now + MONTH
    running.record(fact(2, epoch=1, period_end=end, cancel_at=end, **APPLE), alice)
    running.record(fact(3, epoch=1, period_end=end, renewal_known=False, **APPLE), alice)
    assert running.subscriptions()[0]["cancel_at"] == end
