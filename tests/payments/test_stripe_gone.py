"""What Stripe does not know any more is written down: customers and subscriptions that were deleted, and the switch to live."""

from collections.abc import Callable
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest

from auth.tiers import Tier
from tests.payments.stripe_app import ENTERPRISE, MakeStripe, RunningStripe


@pytest.fixture
def alice(stripe: RunningStripe) -> UUID:
    return stripe.user()


def delete_customer(stripe: RunningStripe, user: UUID) -> None:
    """In the dashboard. It ends the customer's subscriptions too."""
    stripe.server.customers.delete(stripe.server.books.get("customer", stripe.customer_of(user)))


def assert_it_is_over(stripe: RunningStripe, user: UUID) -> None:
    assert stripe.subscriptions()[0]["status"] in {"canceled", "expired"}
    assert stripe.tier(user) is Tier.FREE
    assert stripe.ledger(user) == [("free", "pro"), ("pro", "free")]
    assert stripe.act(user, "cancel").get_json()["error"] == "not_managed_here"
    assert stripe.buy(user)["status"] == "active"
    assert stripe.tier(user) is Tier.PRO


@pytest.mark.parametrize("turned", [False, True], ids=["in their order", "the customer's end first"])
def test_a_deleted_customer_has_no_plan_any_more(stripe: RunningStripe, alice: UUID, turned: bool) -> None:
    stripe.buy(alice, cycle="yearly")
    delete_customer(stripe, alice)
    due = tuple(range(len(stripe.server.outbox.pending())))
    stripe.deliver(due[::-1] if turned else due)

    assert_it_is_over(stripe, alice)


@pytest.mark.parametrize("users", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_in_any_order_and_with_four_workers_it_ends_alike(stripe: RunningStripe, users: int) -> None:
    random = Random(7)
    for number in range(users):
        user = stripe.user(f"user{number}")
        stripe.buy(user)
        delete_customer(stripe, user)
        order = list(range(len(stripe.server.outbox.pending())))
        random.shuffle(order)
        stripe.server.outbox.deliver_pending(order)
        stripe.work(workers=4)

        assert stripe.tier(user) is Tier.FREE, number
        assert stripe.ledger(user) == [("free", "pro"), ("pro", "free")], number
        assert stripe.checkout(user).status_code == 200, number


def test_a_deleted_customer_nobody_told_of_is_found_by_reconciling(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    delete_customer(stripe, alice)
    kinds = [each.kind for each in stripe.server.outbox.pending()]
    stripe.deliver((kinds.index("customer.deleted"),))
    stripe.server.outbox.forget_pending()
    assert stripe.tier(alice) is Tier.PRO
    stripe.cli("reconcile")

    assert stripe.counted("drift:stripe_rows") == 1
    assert_it_is_over(stripe, alice)


def by_reconciling(stripe: RunningStripe, user: UUID) -> None:
    assert stripe.cli("reconcile").exit_code == 0


def by_a_command(stripe: RunningStripe, user: UUID) -> None:
    assert stripe.act(user, "cancel").get_json()["error"] == "not_managed_here"


def by_an_event(stripe: RunningStripe, user: UUID) -> None:
    [event] = [row for row in stripe.events() if row["kind"] == "customer.subscription.created"]
    assert stripe.cli("replay", "--event", str(event["id"])).exit_code == 0
    stripe.work()


@pytest.mark.parametrize("found", [by_reconciling, by_a_command, by_an_event])
def test_a_subscription_that_stripe_does_not_know_any_more_has_expired(
    stripe: RunningStripe, alice: UUID, found: Callable[[RunningStripe, UUID], None]
) -> None:
    bought = stripe.buy(alice)
    del stripe.server.books.objects[bought["id"]]
    found(stripe, alice)

    assert stripe.own(alice)["subscriptions"][0]["ends_at"].startswith("2026-03-10T12:00:00")
    [cause] = stripe.query("SELECT cause FROM entitlement_ledger WHERE to_tier = 'free'")
    assert cause[0].endswith(", missing at Stripe")
    assert_it_is_over(stripe, alice)


def test_a_subscription_that_was_never_ours_is_not_written_down(stripe: RunningStripe, alice: UUID) -> None:
    stripe.checkout(alice)
    price = stripe.server.books.get("price", ENTERPRISE)
    begun = stripe.server.subscriptions.begin(stripe.customer_of(alice), price, card=None, metadata={}, trial_days=3)
    del stripe.server.books.objects[begun["id"]]
    stripe.deliver()

    assert stripe.subscriptions() == []
    assert stripe.counted("stripe_missing") > 0


def test_an_end_that_nobody_told_us_of_is_in_nobodys_way(stripe: RunningStripe, alice: UUID) -> None:
    """Neither an event arrives nor does reconciling run."""
    stripe.server.subscriptions.end(stripe.buy(alice))
    stripe.pass_time_unheard(days=32)

    assert stripe.subscriptions()[0]["status"] == "active"
    assert stripe.checkout(alice).status_code == 200


def test_test_mode_is_over_when_the_key_is_live(make_stripe: MakeStripe) -> None:
    test = make_stripe()
    alice, bob = test.user("alice"), test.user("bob")
    test.buy(alice, "enterprise", "yearly")
    test.buy(bob)
    live = make_stripe(livemode=True)

    assert live.act(bob, "cancel").get_json()["error"] == "not_managed_here"
    bought = live.buy(alice)
    assert (bought["livemode"], bought["status"]) == (True, "active")
    assert live.cli("reconcile").exit_code == 0
    assert {user: live.tier(user) for user in (alice, bob)} == {alice: Tier.PRO, bob: Tier.FREE}
    assert [(row["environment"], row["status"]) for row in live.subscriptions()] == [
        ("test", "expired"),
        ("test", "expired"),
        ("live", "active"),
    ]
    assert live.counted("stripe_double_subscription") == 0


def test_a_test_key_says_nothing_about_live_subscriptions(make_stripe: MakeStripe) -> None:
    live = make_stripe(livemode=True)
    alice = live.user()
    live.buy(alice)
    test = make_stripe()
    assert test.cli("reconcile").exit_code == 0

    assert test.act(alice, "cancel").get_json()["error"] == "not_managed_here"
    assert live.subscriptions()[0]["status"] == "active"
    assert live.tier(alice) is Tier.PRO
    assert live.act(alice, "cancel").status_code == 200


def test_a_customer_of_test_mode_is_replaced_at_the_first_purchase(make_stripe: MakeStripe) -> None:
    test = make_stripe()
    alice = test.user()
    test.checkout(alice)
    first = test.customer_of(alice)
    test.server.advance(timedelta(hours=2))
    test.cli("reconcile")
    live = make_stripe(livemode=True)

    assert live.checkout(alice).status_code == 200
    assert live.customer_of(alice) != first
