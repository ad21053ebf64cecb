"""A free trial is given once, whoever sells it."""

from datetime import timedelta
from typing import Any

from database import transaction
from payments.subscriptions.before_a_sale import trial_used
from payments.subscriptions.status import Provider, SubscriptionStatus
from tests.payments.facts import fact
from tests.payments.payments_app import RunningPayments


def test_a_trial_at_one_provider_counts_for_the_others(running: RunningPayments) -> None:
    alice, bob = running.user("alice"), running.user("bob")
    end = running.clock() + timedelta(days=7)
    apple: dict[str, Any] = {"provider": Provider.APPLE, "environment": "Production", "external_id": "1000"}
    running.record(fact(1, period_end=end, trial=True, status=SubscriptionStatus.TRIALING, **apple), alice)
    running.record(fact(2, period_end=end + timedelta(days=30), **apple), alice)
    running.record(fact(period_end=end), bob)
    with running.app.app_context(), transaction() as session:
        assert (trial_used(session, alice), trial_used(session, bob)) == (True, False)
