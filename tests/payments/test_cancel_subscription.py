"""POST /api/payments/subscription/cancel, for either seller."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from auth.tiers import Tier
from payments.subscriptions.status import Provider
from tests.payments.facts import fact
from tests.payments.payments_app import RunningPayments
from tests.payments.stripe_app import RunningStripe

APPLE: dict[str, Any] = {"provider": Provider.APPLE, "environment": "Production", "external_id": "1000"}
APPLE_PAGE = "https://apps.apple.com/account/subscriptions"
CANCEL = "/subscription/cancel"


@pytest.fixture
def alice(stripe: RunningStripe) -> UUID:
    return stripe.user()


@pytest.mark.slow
def test_one_of_stripe_ends_with_its_period(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    first, again = (stripe.post(CANCEL, None, alice) for _ in range(2))
    assert (first.status_code, first.get_json()["provider"]) == (200, "stripe")
    assert first.get_json() == again.get_json()
    assert bought["cancel_at_period_end"] is True
    assert stripe.tier(alice) is Tier.PRO


def test_one_of_apple_is_cancelled_at_apple(stripe: RunningStripe, alice: UUID) -> None:
    stripe.record(fact(period_end=stripe.clock() + timedelta(days=9), **APPLE), alice)
    answer = stripe.post(CANCEL, None, alice)
    told = answer.get_json()
    assert (answer.status_code, told["error"]) == (409, "managed_elsewhere")
    assert (told["managed_by"], told["manage_url"]) == ("apple", APPLE_PAGE)
    assert APPLE_PAGE in told["detail"]
    assert stripe.server.seen == []


@pytest.mark.slow
def test_of_two_the_one_that_can_be_cancelled_here_is(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    stripe.record(fact(period_end=stripe.clock() + timedelta(days=9), **APPLE), alice)
    assert stripe.post(CANCEL, None, alice).status_code == 200
    assert bought["cancel_at_period_end"] is True


def test_without_one_there_is_nothing_to_cancel(stripe: RunningStripe, alice: UUID) -> None:
    answer = stripe.post(CANCEL, None, alice)
    assert (answer.status_code, answer.get_json()["error"]) == (409, "not_managed_here")
    assert answer.get_json()["managed_by"] is None


def test_apple_is_named_where_stripe_is_not_set_up(running: RunningPayments) -> None:
    alice, bob = running.user("alice"), running.user("bob")
    running.record(fact(period_end=running.clock() + timedelta(days=9), **APPLE), alice)
    assert running.post(CANCEL, None, alice).get_json()["manage_url"] == APPLE_PAGE
    assert running.post(CANCEL, None, bob).get_json()["error"] == "not_managed_here"
    assert running.post(CANCEL, None).status_code == 401
