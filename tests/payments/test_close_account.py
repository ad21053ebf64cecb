"""What ends when an account is closed, and what is let go when it is deleted."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from auth.tiers import Tier
from database import transaction
from payments.billing.customer import billing_customer
from payments.personal_data import export_payments
from payments.subscriptions.close_account import (
    CANCEL_AT_STRIPE,
    STOP_RENEWING,
    end_subscriptions,
    let_go_of_subscriptions,
)
from payments.subscriptions.status import Provider, SubscriptionStatus
from tests.payments.facts import fact
from tests.payments.payments_app import RunningPayments

APPLE: dict[str, Any] = {"provider": Provider.APPLE, "environment": "Production", "external_id": "1000"}


def close(running: RunningPayments, user: uuid.UUID) -> Sequence[str]:
    with running.app.app_context(), transaction() as session:
        return end_subscriptions(session, user, running.clock())


def delete(running: RunningPayments, user: uuid.UUID) -> None:
    """As the job does that deletes accounts: portion by portion, then the user's row."""
    with running.app.app_context():
        while True:
            with transaction() as session:
                if let_go_of_subscriptions(session, user) == 0:
                    break
    running.query("DELETE FROM users WHERE id = :user", user=user)


def enqueued(running: RunningPayments, job: str) -> list[str]:
    jobs = running.query("SELECT args FROM procrastinate_jobs WHERE task_name = :name ORDER BY id", name=job)
    return [job.args["subscription_id"] for job in jobs]


def test_live_stripe_subscriptions_renew_no_more_and_ended_ones_are_left_alone(running: RunningPayments) -> None:
    alice = running.user()
    end = running.clock() + timedelta(days=30)
    running.record(fact(period_end=end), alice)
    running.record(fact(period_end=end, external_id="sub_2", status=SubscriptionStatus.CANCELED), alice)
    assert close(running, alice) == ()
    assert enqueued(running, STOP_RENEWING) == ["sub_1"]


def test_apple_has_to_be_told_by_the_user(running: RunningPayments) -> None:
    alice = running.user()
    running.record(fact(period_end=running.clock() + timedelta(days=30), **APPLE), alice)
    assert close(running, alice) == ("apple",)


def test_a_subscription_that_will_end_by_itself_needs_no_word(running: RunningPayments) -> None:
    alice = running.user()
    end = running.clock() + timedelta(days=30)
    running.record(fact(period_end=end, cancel_at=end, **APPLE), alice)
    assert close(running, alice) == ()


def test_who_comes_back_in_time_still_has_what_apple_goes_on_selling(running: RunningPayments) -> None:
    alice = running.user()
    running.record(fact(period_end=running.clock() + timedelta(days=30), **APPLE), alice)
    close(running, alice)
    running.record(fact(2, period_end=running.clock() + timedelta(days=60), **APPLE), alice)
    assert running.tier(alice) is Tier.PRO


def test_what_runs_at_the_deletion_is_cancelled(running: RunningPayments) -> None:
    alice = running.user()
    close(running, alice)
    running.record(fact(period_end=running.clock() + timedelta(days=30)), alice)
    delete(running, alice)
    assert enqueued(running, CANCEL_AT_STRIPE) == ["sub_1"]


def test_after_the_end_later_facts_change_nobody(running: RunningPayments) -> None:
    alice = running.user()
    running.record(fact(period_end=running.clock() + timedelta(days=30)), alice)
    delete(running, alice)
    late = running.record(fact(2, period_end=running.clock() + timedelta(days=60)), None)
    assert late is not None and late.user_id is None


def test_the_original_id_cannot_be_carried_to_another_account(running: RunningPayments) -> None:
    alice, bob = running.user("alice"), running.user("bob")
    running.record(fact(period_end=running.clock() + timedelta(days=30), **APPLE), alice)
    delete(running, alice)
    running.record(fact(2, period_end=running.clock() + timedelta(days=30), **APPLE), bob)
    assert running.tier(bob) is Tier.FREE


def test_a_manual_grant_goes_and_the_customer_stays_without_a_name(running: RunningPayments) -> None:
    alice = running.user()
    with running.app.app_context(), transaction() as session:
        billing_customer(session, alice, running.clock())
    running.grant(alice, Tier.PRO)
    delete(running, alice)
    assert running.subscriptions() == []
    assert running.query("SELECT user_id FROM billing_customers")[0].user_id is None


def test_an_account_without_any_of_it_has_nothing_to_end(running: RunningPayments) -> None:
    assert close(running, uuid.uuid4()) == ()
    delete(running, uuid.uuid4())


def test_an_export_says_what_was_paid_for(running: RunningPayments) -> None:
    alice, bob = running.user("alice"), running.user("bob")
    running.record(fact(period_end=running.clock() + timedelta(days=30)), alice)
    with running.app.app_context(), transaction() as session:
        exported, other = export_payments(session, alice), export_payments(session, bob)
    assert [row["stripe_subscription_id"] for row in exported["subscriptions"]] == ["sub_1"]
    assert [(row["from_tier"], row["to_tier"]) for row in exported["tiers"]] == [("free", "pro")]
    assert "billing_periods" in other
    assert not any(other.values())
