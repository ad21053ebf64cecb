"""What ends when an account is deleted."""

import uuid
from datetime import timedelta
from typing import Any

from auth.tiers import Tier
from database import transaction
from payments.billing_customer import billing_customer
from payments.close_account import ClosedBilling, close_billing
from payments.grant_manually import grant_manually
from payments.subscription_status import Provider, SubscriptionStatus
from tests.payments.facts import fact
from tests.payments.payments_app import RunningPayments

APPLE: dict[str, Any] = {"provider": Provider.APPLE, "environment": "Production", "external_id": "1000"}


def close(running: RunningPayments, user: uuid.UUID, cancelled: list[str] | None = None) -> ClosedBilling:
    def cancel(_session: object, subscription_id: str) -> None:
        if cancelled is not None:
            cancelled.append(subscription_id)

    with running.app.app_context(), transaction() as session:
        return close_billing(session, user, running.clock(), cancel_at_stripe=cancel)


def test_live_stripe_subscriptions_are_cancelled_and_ended_ones_are_not(running: RunningPayments) -> None:
    alice = running.user()
    end = running.clock() + timedelta(days=30)
    running.record(fact(period_end=end), alice)
    running.record(fact(period_end=end, external_id="sub_2", status=SubscriptionStatus.CANCELED), alice)
    cancelled: list[str] = []
    assert not close(running, alice, cancelled).cancel_with_apple
    assert cancelled == ["sub_1"]


def test_apple_has_to_be_told_by_the_user(running: RunningPayments) -> None:
    alice = running.user()
    running.record(fact(period_end=running.clock() + timedelta(days=30), **APPLE), alice)
    assert close(running, alice).cancel_with_apple


def test_a_subscription_that_will_end_by_itself_needs_no_word(running: RunningPayments) -> None:
    alice = running.user()
    end = running.clock() + timedelta(days=30)
    running.record(fact(period_end=end, cancel_at=end, **APPLE), alice)
    assert not close(running, alice).cancel_with_apple


def test_the_tier_ends_and_later_facts_change_nothing(running: RunningPayments) -> None:
    alice = running.user()
    running.record(fact(period_end=running.clock() + timedelta(days=30)), alice)
    assert close(running, alice).change is not None
    assert running.tier(alice) is Tier.FREE
    late = running.record(fact(2, period_end=running.clock() + timedelta(days=60)), alice)
    assert late is not None and late.user_id is None
    assert running.tier(alice) is Tier.FREE


def test_the_original_id_cannot_be_carried_to_another_account(running: RunningPayments) -> None:
    alice, bob = running.user("alice"), running.user("bob")
    running.record(fact(period_end=running.clock() + timedelta(days=30), **APPLE), alice)
    close(running, alice)
    running.query("DELETE FROM users WHERE id = :alice", alice=alice)
    running.record(fact(2, period_end=running.clock() + timedelta(days=30), **APPLE), bob)
    assert running.tier(bob) is Tier.FREE


def test_a_manual_grant_goes_and_the_customer_stays_without_a_name(running: RunningPayments) -> None:
    alice = running.user()
    with running.app.app_context():
        with transaction() as session:
            billing_customer(session, alice, running.clock())
        grant_manually(running.payments.rules, alice, Tier.PRO, until=None, actor="support")
    close(running, alice)
    assert running.subscriptions() == []
    assert running.query("SELECT user_id FROM billing_customers")[0].user_id is None


def test_an_account_that_is_gone_has_nothing_to_end(running: RunningPayments) -> None:
    assert close(running, uuid.uuid4()) == ClosedBilling(cancel_with_apple=False, change=None)
