"""What becomes of access while a subscription lives: failures, cancellations, refunds, disputes, two at once."""

from datetime import timedelta
from uuid import UUID

import pytest

from auth.tiers import Tier
from database import transaction
from payments.subscriptions.close_account import let_go_of_subscriptions
from payments.subscriptions.entitlement import RENEWAL_LEEWAY
from payments.subscriptions.status import Provider, SubscriptionStatus
from sandbox.stripe_server.books import Card
from sandbox.stripe_server.protocol.response_shapes import Object
from tests.payments.facts import fact
from tests.payments.stripe_app import ENTERPRISE, LEGACY, PRO, MakeStripe, RunningStripe

GRACE = timedelta(days=7)


@pytest.fixture
def alice(stripe: RunningStripe) -> UUID:
    return stripe.user()


def test_a_renewal_extends_access(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    stripe.pass_time(days=40)

    assert stripe.tier(alice) is Tier.PRO
    assert [entry for entry in stripe.ledger(alice) if entry[0] != entry[1]] == [("free", "pro")]


def test_a_failed_renewal_leaves_exactly_the_grace(stripe: RunningStripe, alice: UUID) -> None:
    stripe.server.calendar.after_retries = "past_due"
    stripe.buy(alice)
    stripe.card_of(alice, Card.DECLINED)
    stripe.pass_time(days=31)
    assert stripe.own(alice)["status"] == "grace"
    assert stripe.tier(alice) is Tier.PRO

    stripe.pass_time_unheard(days=6, hours=23, minutes=59)
    assert stripe.tier(alice) is Tier.PRO
    stripe.pass_time_unheard(minutes=1)
    assert stripe.tier(alice) is Tier.FREE


def test_further_failures_do_not_prolong_the_grace(stripe: RunningStripe, alice: UUID) -> None:
    stripe.server.calendar.after_retries = "past_due"
    stripe.buy(alice)
    stripe.card_of(alice, Card.DECLINED)
    for _ in range(4):
        stripe.pass_time(days=10)

    assert stripe.subscriptions()[0]["provider_status"] == "past_due"
    assert stripe.tier(alice) is Tier.FREE


def test_a_payment_in_the_grace_restores(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    stripe.card_of(alice, Card.DECLINED)
    stripe.pass_time(days=32)
    stripe.card_of(alice, Card.GOOD)
    stripe.pass_time(days=10)

    assert stripe.own(alice)["status"] == "active"
    assert stripe.tier(alice) is Tier.PRO


def test_when_all_tries_failed_access_is_over(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    stripe.card_of(alice, Card.DECLINED)
    stripe.pass_time(days=31)
    stripe.pass_time(days=20)

    assert stripe.subscriptions()[0]["status"] == "canceled"
    assert stripe.tier(alice) is Tier.FREE
    assert stripe.checkout(alice).status_code == 200


def test_an_unpaid_one_gives_nothing_and_is_not_bought_again_beside_it(stripe: RunningStripe, alice: UUID) -> None:
    stripe.server.calendar.after_retries = "unpaid"
    stripe.buy(alice)
    stripe.card_of(alice, Card.DECLINED)
    stripe.pass_time(days=31)
    stripe.pass_time(days=20)

    assert stripe.own(alice)["subscriptions"][0]["status"] == "unpaid"
    assert stripe.tier(alice) is Tier.FREE
    assert stripe.checkout(alice).status_code == 409


@pytest.mark.parametrize("status", ["unpaid", "paused", "incomplete", "incomplete_expired", "canceled"])
def test_no_access_without_payment(stripe: RunningStripe, alice: UUID, status: str) -> None:
    bought = stripe.buy(alice)
    stripe.server.subscriptions.change(bought, status=status)
    stripe.deliver()

    assert stripe.tier(alice) is Tier.FREE


def test_an_unknown_status_grants_nothing_new_and_takes_nothing_away(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    stripe.server.subscriptions.change(bought, status="hibernating")
    stripe.deliver()
    assert stripe.own(alice)["status"] == "unknown"
    assert stripe.tier(alice) is Tier.PRO
    assert stripe.counted("stripe_unknown_status") > 0

    stripe.server.subscriptions.change(bought, items={**bought["items"], "data": [prolonged(bought)]})
    stripe.deliver()
    stripe.pass_time_unheard(days=31, hours=1)
    assert stripe.tier(alice) is Tier.FREE


def prolonged(subscription: dict[str, object]) -> dict[str, object]:
    [item] = subscription["items"]["data"]  # type: ignore[index]
    return {**item, "current_period_end": item["current_period_end"] + 10_000_000}


def test_an_unknown_status_from_the_beginning_grants_nothing(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice, deliver=False)
    stripe.server.subscriptions.change(bought, status="hibernating")
    stripe.deliver()

    assert stripe.tier(alice) is Tier.FREE


def test_pausing_and_resuming_at_stripe(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    stripe.server.subscriptions.change(bought, status="paused")
    stripe.deliver()
    assert stripe.tier(alice) is Tier.FREE
    stripe.server.subscriptions.change(bought, status="active")
    stripe.deliver()
    assert stripe.tier(alice) is Tier.PRO


def test_a_cancellation_in_the_portal_is_shown_and_keeps_the_period(stripe: RunningStripe, alice: UUID) -> None:
    """In flexible style: `cancel_at` is set and the flag is not."""
    bought = stripe.buy(alice)
    stripe.server.subscriptions.cancel_later(bought, flexible=True)
    stripe.deliver()

    own = stripe.own(alice)
    assert own["renews_at"] is None
    assert own["ends_at"].startswith("2026-04-10T12:00:00")
    assert stripe.tier(alice) is Tier.PRO
    stripe.pass_time_unheard(days=31)
    assert stripe.tier(alice) is Tier.FREE


def test_a_planned_end_behind_the_next_renewal_renews_before(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    stripe.server.subscriptions.cancel_at(bought, int((stripe.clock() + timedelta(days=45)).timestamp()))
    stripe.deliver()
    own = stripe.own(alice)
    assert (own["renews_at"][:10], own["ends_at"][:10]) == ("2026-04-10", "2026-04-24")

    stripe.pass_time_unheard(days=31)
    assert stripe.tier(alice) is Tier.PRO  # the renewal has not been told yet
    stripe.cli("reconcile")
    own = stripe.own(alice)
    assert (own["renews_at"], own["ends_at"][:10]) == (None, "2026-04-24")
    stripe.pass_time_unheard(days=13, hours=23)
    assert stripe.tier(alice) is Tier.PRO
    stripe.pass_time_unheard(hours=1)
    assert stripe.tier(alice) is Tier.FREE


def test_an_end_at_once_is_the_end(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    stripe.server.subscriptions.end(bought, "payment_disputed")
    stripe.deliver()

    assert stripe.tier(alice) is Tier.FREE
    assert stripe.ledger(alice) == [("free", "pro"), ("pro", "free")]


def test_without_a_worker_access_ends_within_the_leeway(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    stripe.pass_time_unheard(days=31)
    assert stripe.tier(alice) is Tier.PRO
    stripe.server.advance(RENEWAL_LEEWAY)

    assert stripe.tier(alice) is Tier.FREE


def last_charge(stripe: RunningStripe) -> dict[str, object]:
    return next(each for each in stripe.server.books.all("charge") if each["status"] == "succeeded")


def test_a_full_refund_ends_it_so_that_nothing_more_is_charged(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    stripe.server.refunds.refund(last_charge(stripe))
    stripe.deliver()

    assert bought["status"] == "canceled"
    assert stripe.tier(alice) is Tier.FREE
    charges = len(list(stripe.server.books.all("charge")))
    stripe.pass_time(days=70)
    assert len(list(stripe.server.books.all("charge"))) == charges


def test_a_partial_refund_changes_nothing(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    stripe.server.refunds.refund(last_charge(stripe), 500)
    stripe.deliver()

    assert bought["status"] == "active"
    assert stripe.tier(alice) is Tier.PRO


def test_a_refund_of_an_earlier_period_changes_nothing(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    first = last_charge(stripe)
    stripe.pass_time(days=32)
    stripe.server.refunds.refund(first)
    stripe.deliver()

    assert bought["status"] == "active"
    assert stripe.tier(alice) is Tier.PRO


def test_a_refund_of_an_earlier_period_changes_nothing_while_the_present_one_is_not_paid(
    stripe: RunningStripe, alice: UUID
) -> None:
    bought = stripe.buy(alice)
    first = last_charge(stripe)
    stripe.pass_time(days=32)
    stripe.card_of(alice, Card.DECLINED)
    stripe.pass_time(days=31)
    stripe.server.refunds.refund(first)
    stripe.deliver()

    assert bought["status"] == "past_due"
    assert (stripe.own(alice)["status"], stripe.tier(alice)) == ("grace", Tier.PRO)


def test_a_refund_of_what_was_paid_last_ends_it_also_when_the_next_invoice_is_open(
    stripe: RunningStripe, alice: UUID
) -> None:
    bought = stripe.buy(alice)
    paid = last_charge(stripe)
    stripe.card_of(alice, Card.DECLINED)
    stripe.pass_time(days=31)
    stripe.server.refunds.refund(paid)
    stripe.deliver()

    assert bought["status"] == "canceled"
    assert stripe.tier(alice) is Tier.FREE


def test_a_refund_of_an_upgrades_difference_leaves_the_plan_and_one_of_the_period_ends_it(
    stripe: RunningStripe, alice: UUID
) -> None:
    bought = stripe.buy(alice)
    period = last_charge(stripe)
    stripe.server.advance(timedelta(days=10))
    assert stripe.change(alice, "enterprise").status_code == 200
    stripe.server.refunds.refund(last_charge(stripe))
    stripe.deliver()
    assert (bought["status"], stripe.tier(alice)) == ("active", Tier.ENTERPRISE)

    stripe.server.refunds.refund(period)
    stripe.deliver()
    assert (bought["status"], stripe.tier(alice)) == ("canceled", Tier.FREE)


@pytest.mark.parametrize("status", ["past_due", "trialing", "unpaid"])
def test_while_collection_is_suspended_nothing_is_granted_whatever_the_status(
    stripe: RunningStripe, alice: UUID, status: str
) -> None:
    bought = stripe.buy(alice)
    end = bought["items"]["data"][0]["current_period_end"]
    stripe.server.subscriptions.change(bought, status=status, trial_end=end, pause_collection={"behavior": "void"})
    stripe.deliver()

    assert stripe.tier(alice) is Tier.FREE
    assert stripe.checkout(alice).status_code == 409


def test_a_dispute_while_a_payment_is_due_suspends(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    stripe.card_of(alice, Card.DECLINED)
    stripe.pass_time(days=31)
    assert stripe.tier(alice) is Tier.PRO
    stripe.server.refunds.dispute(last_charge(stripe))
    stripe.deliver()

    assert (bought["status"], bought["pause_collection"]["behavior"]) == ("past_due", "void")
    assert stripe.tier(alice) is Tier.FREE


def test_a_dispute_suspends_and_a_lost_one_ends(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    dispute = stripe.server.refunds.dispute(last_charge(stripe))
    stripe.deliver()
    assert stripe.tier(alice) is Tier.FREE
    assert (bought["status"], bought["pause_collection"]["behavior"]) == ("active", "void")
    assert stripe.counted("stripe_dispute") == 1

    stripe.server.refunds.close(dispute, "lost")
    stripe.deliver()
    assert bought["status"] == "canceled"
    assert stripe.tier(alice) is Tier.FREE


def test_nothing_is_charged_while_a_dispute_is_open(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    stripe.server.refunds.dispute(last_charge(stripe))
    stripe.deliver()
    charges = len(list(stripe.server.books.all("charge")))
    stripe.pass_time(days=40)

    assert len(list(stripe.server.books.all("charge"))) == charges
    assert stripe.tier(alice) is Tier.FREE


def test_a_dispute_that_was_won_restores(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    dispute = stripe.server.refunds.dispute(last_charge(stripe))
    stripe.deliver()
    stripe.server.refunds.close(dispute, "won")
    stripe.deliver()

    assert bought["pause_collection"] is None
    assert stripe.tier(alice) is Tier.PRO


@pytest.mark.parametrize("closed", [True, False])
def test_an_inquiry_changes_nothing(stripe: RunningStripe, alice: UUID, closed: bool) -> None:
    bought = stripe.buy(alice)
    inquiry = stripe.server.refunds.dispute(last_charge(stripe), inquiry=True)
    if closed:
        stripe.server.refunds.close(inquiry, "warning_closed")
    stripe.deliver()

    assert (bought["status"], bought["pause_collection"]) == ("active", None)
    assert stripe.tier(alice) is Tier.PRO


def second_subscription(stripe: RunningStripe, user: UUID, price: str) -> Object:
    """As support makes one in the dashboard."""
    stripe.server.advance(timedelta(minutes=1))
    at = stripe.server.books.get("price", price)
    return stripe.server.subscriptions.begin(stripe.customer_of(user), at, card=Card.GOOD, metadata={})


@pytest.mark.parametrize(("price", "kept", "refunded"), [(PRO, 0, 1900), (ENTERPRISE, 1, 1900)])
def test_of_two_paid_subscriptions_the_higher_one_stays_and_of_equals_the_older(
    stripe: RunningStripe, alice: UUID, price: str, kept: int, refunded: int
) -> None:
    both = [stripe.buy(alice), second_subscription(stripe, alice, price)]
    stripe.deliver()

    assert [each["status"] for each in both] == ["active" if number == kept else "canceled" for number in (0, 1)]
    [refund] = list(stripe.server.books.all("refund"))
    assert refund["amount"] == refunded
    assert stripe.tier(alice) is (Tier.PRO if kept == 0 else Tier.ENTERPRISE)
    assert stripe.counted("stripe_double_subscription") == 1


def test_of_two_subscriptions_the_paid_one_stays_however_old_the_other_is(stripe: RunningStripe, alice: UUID) -> None:
    overdue = stripe.buy(alice, "enterprise")
    stripe.card_of(alice, Card.DECLINED)
    stripe.pass_time(days=31)
    assert overdue["status"] == "past_due"
    paid = second_subscription(stripe, alice, PRO)
    stripe.deliver()

    assert (overdue["status"], paid["status"]) == ("canceled", "active")
    assert list(stripe.server.books.all("refund")) == []
    assert stripe.tier(alice) is Tier.PRO


def test_whoever_has_a_price_that_is_not_sold_any_more_keeps_the_tier(stripe: RunningStripe, alice: UUID) -> None:
    stripe.checkout(alice)
    price = stripe.server.books.get("price", LEGACY)
    stripe.server.subscriptions.begin(stripe.customer_of(alice), price, card=Card.GOOD, metadata={})
    stripe.deliver()

    assert stripe.tier(alice) is Tier.PRO


def test_metadata_and_names_decide_nothing(stripe: RunningStripe, alice: UUID) -> None:
    stripe.checkout(alice)
    price = stripe.server.books.get("price", PRO)
    metadata = {"tier": "enterprise", "user_id": str(stripe.user("mallory"))}
    stripe.server.subscriptions.begin(stripe.customer_of(alice), price, card=Card.GOOD, metadata=metadata)
    stripe.deliver()

    assert stripe.tier(alice) is Tier.PRO
    assert {row["user_id"] for row in stripe.subscriptions()} == {alice}


def test_the_product_may_stand_in_the_table_instead_of_the_price(make_stripe: MakeStripe) -> None:
    stripe = make_stripe(prices=f"{PRO}:pro:monthly,prod_enterprise:enterprise")
    alice = stripe.user()
    stripe.checkout(alice)
    price = stripe.server.books.get("price", ENTERPRISE)
    stripe.server.subscriptions.begin(stripe.customer_of(alice), price, card=Card.GOOD, metadata={})
    stripe.deliver()

    assert stripe.tier(alice) is Tier.ENTERPRISE


def test_two_sellers_the_higher_tier_counts_and_hands_over_without_a_gap(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    apple = {"provider": Provider.APPLE, "environment": "Production", "external_id": "1000", "tier": Tier.ENTERPRISE}
    end = stripe.clock() + timedelta(days=10)
    stripe.record(fact(1, period_end=end, cancel_at=end, **apple), alice)
    assert stripe.tier(alice) is Tier.ENTERPRISE

    stripe.pass_time_unheard(days=10)
    assert stripe.tier(alice) is Tier.ENTERPRISE
    stripe.run_job("hand_over_tiers")
    assert stripe.tier(alice) is Tier.PRO
    stripe.record(fact(2, period_end=end, status=SubscriptionStatus.EXPIRED, **apple), alice)
    stripe.server.subscriptions.end(stripe.latest("subscription"))
    stripe.deliver()
    assert stripe.tier(alice) is Tier.FREE


def apple_subscription(stripe: RunningStripe, user: UUID) -> None:
    end = stripe.clock() + timedelta(days=20)
    apple = {"provider": Provider.APPLE, "environment": "Production", "external_id": "1000"}
    stripe.record(fact(1, period_end=end, **apple), user)


def test_a_page_that_is_paid_after_a_purchase_at_apple_is_given_back(stripe: RunningStripe, alice: UUID) -> None:
    page = stripe.checkout(alice).get_json()["checkout_url"]
    stripe.server.advance(timedelta(minutes=1))
    apple_subscription(stripe, alice)
    stripe.press(page, "good")
    stripe.deliver()

    assert stripe.latest("subscription")["status"] == "canceled"
    assert [refund["amount"] for refund in stripe.server.books.all("refund")] == [1900]
    assert stripe.counted("stripe_bought_beside_apple") == 1
    assert (stripe.tier(alice), stripe.own(alice)["source"]) == (Tier.PRO, "apple")


def test_a_purchase_at_apple_after_one_at_stripe_was_the_buyers_own_choice(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice, deliver=False)
    stripe.server.advance(timedelta(minutes=1))
    apple_subscription(stripe, alice)
    stripe.deliver()

    assert bought["status"] == "active"
    assert list(stripe.server.books.all("refund")) == []


def delete_account(stripe: RunningStripe, user: UUID) -> None:
    with stripe.app.app_context(), transaction() as session:
        let_go_of_subscriptions(session, user)


def test_deleting_the_account_cancels_at_stripe_and_later_events_change_nobody(
    stripe: RunningStripe, alice: UUID
) -> None:
    bought = stripe.buy(alice)
    delete_account(stripe, alice)
    stripe.deliver()

    assert bought["status"] == "canceled"
    assert stripe.subscriptions()[0]["user_id"] is None
    assert {row["state"] for row in stripe.events()} <= {"done", "ignored"}


def test_a_page_that_is_paid_after_the_account_was_deleted_is_given_back(stripe: RunningStripe, alice: UUID) -> None:
    url = stripe.checkout(alice).get_json()["checkout_url"]
    delete_account(stripe, alice)
    stripe.press(url, "good")
    stripe.deliver()

    assert stripe.latest("subscription")["status"] == "canceled"
    assert stripe.latest("refund")["amount"] == 1900
    assert stripe.tier(alice) is Tier.FREE


def test_a_trial_without_payment_at_its_end(make_stripe: MakeStripe) -> None:
    stripe = make_stripe(trial_days=7)
    alice = stripe.user()
    stripe.buy(alice)
    stripe.card_of(alice, Card.DECLINED)
    stripe.pass_time(days=8)
    assert stripe.own(alice)["status"] == "grace"
    stripe.pass_time(days=20)

    assert stripe.tier(alice) is Tier.FREE
