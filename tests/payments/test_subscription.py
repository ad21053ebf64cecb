"""GET /api/payments/subscription"""

from datetime import datetime, timedelta
from typing import Any

from auth.tiers import Tier
from payments.subscriptions.status import Provider, SubscriptionStatus
from tests.payments.facts import fact
from tests.payments.payments_app import RunningPayments

APPLE: dict[str, Any] = {"provider": Provider.APPLE, "environment": "Production", "external_id": "1000"}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_nobody_is_asked_to_sign_in(running: RunningPayments) -> None:
    assert running.get("/subscription").status_code == 401


def test_a_free_user_has_none(running: RunningPayments) -> None:
    body = running.get("/subscription", running.user()).get_json()
    assert (body["tier"], body["source"], body["subscriptions"]) == ("free", None, [])


def test_a_renewing_subscription_says_when_and_by_whom(running: RunningPayments) -> None:
    alice, end = running.user(), running.clock() + timedelta(days=30)
    running.record(fact(period_end=end, pending_tier=Tier.PRO, tier=Tier.ENTERPRISE, **APPLE), alice)
    body = running.get("/subscription", alice).get_json()
    assert (body["tier"], body["source"], body["status"]) == ("enterprise", "apple", "active")
    assert (body["managed_by"], body["manage_url"]) == ("apple", "https://apps.apple.com/account/subscriptions")
    assert (moment(body["renews_at"]), body["ends_at"], body["pending_tier"]) == (end, None, "pro")


def test_a_cancelled_one_says_when_it_ends(running: RunningPayments) -> None:
    alice, end = running.user(), running.clock() + timedelta(days=30)
    running.record(fact(period_end=end, cancel_at=end), alice)
    body = running.get("/subscription", alice).get_json()
    assert (body["tier"], body["renews_at"], moment(body["ends_at"])) == ("pro", None, end)


def test_a_failed_payment_says_when_the_grace_ends(running: RunningPayments) -> None:
    alice, now = running.user(), running.clock()
    running.record(fact(period_end=now, status=SubscriptionStatus.GRACE), alice)
    body = running.get("/subscription", alice).get_json()
    assert (body["status"], moment(body["ends_at"])) == ("grace", now + timedelta(days=7))


def test_both_are_shown_and_the_higher_one_governs(running: RunningPayments) -> None:
    alice, end = running.user(), running.clock() + timedelta(days=30)
    running.record(fact(period_end=end), alice)
    running.record(fact(period_end=end, tier=Tier.ENTERPRISE, **APPLE), alice)
    body = running.get("/subscription", alice).get_json()
    assert (body["tier"], body["managed_by"]) == ("enterprise", "apple")
    assert [each["provider"] for each in body["subscriptions"]] == ["apple", "stripe"]


def test_one_that_ran_out_is_shown_but_does_not_count(running: RunningPayments) -> None:
    alice = running.user()
    running.record(fact(period_end=running.clock(), status=SubscriptionStatus.EXPIRED), alice)
    body = running.get("/subscription", alice).get_json()
    assert (body["tier"], body["source"], body["subscriptions"][0]["status"]) == ("free", None, "expired")


def test_a_grant_without_end_has_no_end(running: RunningPayments) -> None:
    alice = running.user()
    running.grant(alice, Tier.PRO)
    body = running.get("/subscription", alice).get_json()
    assert (body["source"], body["renews_at"], body["ends_at"]) == ("manual", None, None)


def test_nobody_sees_what_another_has(running: RunningPayments) -> None:
    running.record(fact(period_end=running.clock() + timedelta(days=30)), running.user("alice"))
    assert running.get("/subscription", running.user("bob")).get_json()["subscriptions"] == []
