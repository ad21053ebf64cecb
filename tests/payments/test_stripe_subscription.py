"""POST /api/payments/stripe/subscription/cancel, /resume and /change, and the portal."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from time import sleep
from typing import Any
from uuid import UUID

import pytest

from auth.tiers import Tier
from payments.subscriptions.status import Provider
from sandbox.stripe_server.books import Card
from sandbox.stripe_server.protocol.faults import Trouble
from sandbox.stripe_server.protocol.response_shapes import Object
from tests.payments.facts import fact
from tests.payments.stripe_app import ENTERPRISE, HOME, OTHER_ORIGIN, PRO, PRO_YEARLY, MakeStripe, RunningStripe


@pytest.fixture
def alice(stripe: RunningStripe) -> UUID:
    return stripe.user()


def price_now(stripe: RunningStripe) -> str:
    price: str = stripe.latest("subscription")["items"]["data"][0]["price"]["id"]
    return price


@pytest.mark.parametrize("command", ["cancel", "change"])
def test_what_ends_between_the_question_and_the_change_is_not_managed_here(
    stripe: RunningStripe, alice: UUID, command: str
) -> None:
    bought = stripe.buy(alice)
    faults = stripe.server.faults
    faults.add(Trouble.SLOW, under="/v1/subscriptions/", verb="get", stall_seconds=0.5)
    body = {"tier": "enterprise", "billing_cycle": "monthly"} if command == "change" else None
    with ThreadPoolExecutor(1) as buyer:
        answered = buyer.submit(stripe.act, alice, command, body)
        while faults.waiting and not answered.done():
            sleep(0.01)
        stripe.server.subscriptions.end(bought)
        answer = answered.result(30)

    assert (answer.status_code, answer.get_json()["error"]) == (409, "not_managed_here")
    assert stripe.tier(alice) is Tier.FREE


def test_a_change_to_a_price_that_stripe_does_not_know_is_our_mistake(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    del stripe.server.books.objects[ENTERPRISE]

    answer = stripe.change(alice, "enterprise")

    assert (answer.status_code, answer.get_json()["error"]) == (502, "payments_misconfigured")
    assert stripe.tier(alice) is Tier.PRO


def test_cancelling_keeps_what_was_paid_for(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    answer = stripe.act(alice, "cancel")

    assert answer.status_code == 200
    assert answer.get_json()["ends_at"].startswith("2026-04-10T12:00:00")
    assert answer.get_json()["renews_at"] is None
    assert bought["cancel_at_period_end"] is True
    assert stripe.tier(alice) is Tier.PRO
    stripe.pass_time(days=31)
    assert (bought["status"], stripe.tier(alice)) == ("canceled", Tier.FREE)


def test_cancelling_twice_is_cancelling_once(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    first, second = stripe.act(alice, "cancel"), stripe.act(alice, "cancel")

    assert first.get_json() == second.get_json()


@pytest.mark.parametrize("flexible", [True, False], ids=["in the portal", "here"])
def test_resuming_takes_it_back_without_a_gap(stripe: RunningStripe, alice: UUID, flexible: bool) -> None:
    bought = stripe.buy(alice)
    stripe.server.subscriptions.cancel_later(bought, flexible=flexible)
    stripe.deliver()
    answer = stripe.act(alice, "resume")

    assert answer.status_code == 200
    assert answer.get_json()["ends_at"] is None
    assert bought["cancel_at"] is None
    assert (stripe.tier(alice), {to for _, to in stripe.ledger(alice)}) == (Tier.PRO, {"pro"})
    stripe.pass_time(days=32)
    assert stripe.tier(alice) is Tier.PRO


def test_resuming_what_was_never_cancelled_changes_nothing(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)

    assert stripe.act(alice, "resume").status_code == 200
    assert stripe.seen(f"/v1/subscriptions/{stripe.latest('subscription')['id']}") == []


def test_after_the_end_there_is_nothing_to_resume(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    stripe.act(alice, "cancel")
    stripe.pass_time(days=31)

    assert stripe.act(alice, "resume").status_code == 409


def test_an_end_that_we_have_not_heard_of_is_found_out(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    stripe.server.subscriptions.end(bought)
    stripe.server.outbox.forget_pending()

    assert stripe.act(alice, "cancel").status_code == 409
    assert stripe.tier(alice) is Tier.FREE


def test_an_unpaid_one_ends_at_once(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    stripe.server.subscriptions.change(bought, status="unpaid")
    stripe.deliver()

    assert stripe.act(alice, "cancel").get_json()["status"] == "canceled"


def overdue(stripe: RunningStripe, user: UUID) -> Object:
    bought = stripe.buy(user)
    stripe.card_of(user, Card.DECLINED)
    stripe.pass_time(days=31)
    assert bought["status"] == "past_due"
    return bought


def test_cancelling_while_a_payment_is_due_ends_at_once_and_charges_no_more(stripe: RunningStripe, alice: UUID) -> None:
    overdue(stripe, alice)
    assert stripe.act(alice, "cancel").get_json()["status"] == "canceled"
    stripe.card_of(alice, Card.GOOD)
    charges = len(list(stripe.server.books.all("charge")))
    stripe.pass_time(days=20)

    assert len(list(stripe.server.books.all("charge"))) == charges
    assert (stripe.tier(alice), stripe.checkout(alice).status_code) == (Tier.FREE, 200)


def test_with_a_repaired_card_the_debt_is_paid_before_the_plan_changes(stripe: RunningStripe, alice: UUID) -> None:
    bought = overdue(stripe, alice)
    answer = stripe.change(alice, "enterprise")
    assert (answer.status_code, answer.get_json()["error"]) == (409, "payment_due")
    stripe.card_of(alice, Card.GOOD)
    answer = stripe.change(alice, "enterprise")

    assert (answer.status_code, answer.get_json()["tier"]) == (200, "enterprise")
    assert bought["status"] == "active"
    assert [each["status"] for each in stripe.server.books.all("invoice")] == ["paid"] * 3
    stripe.deliver()
    assert stripe.tier(alice) is Tier.ENTERPRISE


def test_cancelling_moves_an_end_behind_the_next_renewal_to_before_it(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    stripe.server.subscriptions.cancel_at(bought, int((stripe.clock() + timedelta(days=45)).timestamp()))
    stripe.deliver()
    answer = stripe.act(alice, "cancel").get_json()

    assert (answer["renews_at"], answer["ends_at"][:10]) == (None, "2026-04-10")


def test_a_change_to_an_archived_price_is_not_on_sale(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    stripe.server.books.objects[ENTERPRISE]["active"] = False
    answer = stripe.change(alice, "enterprise")

    assert (answer.status_code, answer.get_json()["error"]) == (409, "plan_not_on_sale")


@pytest.mark.parametrize(("command", "body"), [("cancel", None), ("resume", None), ("change", ("pro", "yearly"))])
def test_without_a_subscription_nothing_can_be_done(
    stripe: RunningStripe, alice: UUID, command: str, body: tuple[str, str] | None
) -> None:
    wanted = None if body is None else {"tier": body[0], "billing_cycle": body[1]}
    answer = stripe.act(alice, command, wanted)

    assert (answer.status_code, answer.get_json()["error"]) == (409, "not_managed_here")
    assert answer.get_json()["managed_by"] is None
    assert stripe.server.seen == []


def test_what_apple_sold_is_managed_there(stripe: RunningStripe, alice: UUID) -> None:
    apple: dict[str, Any] = {"provider": Provider.APPLE, "environment": "Production", "external_id": "1000"}
    stripe.record(fact(period_end=stripe.clock() + timedelta(days=9), **apple), alice)

    assert stripe.act(alice, "cancel").get_json()["managed_by"] == "apple"
    assert stripe.post("/stripe/create-portal-session", {}, alice).get_json()["managed_by"] == "apple"


@pytest.mark.parametrize("path", ["subscription/cancel", "subscription/resume", "subscription/change"])
def test_nobody_changes_without_signing_in(stripe: RunningStripe, path: str) -> None:
    assert stripe.client.post(f"/api/payments/stripe/{path}", json={}).status_code == 401


def test_nobody_reaches_what_another_bought(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    mallory = stripe.user("mallory")

    assert stripe.act(mallory, "cancel").status_code == 409
    assert stripe.post("/stripe/create-portal-session", {}, mallory).status_code == 409
    assert bought["cancel_at"] is None


def test_an_upgrade_is_paid_and_counts_at_once(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    stripe.pass_time(days=10)
    answer = stripe.change(alice, "enterprise")

    assert (answer.status_code, answer.get_json()["tier"]) == (200, "enterprise")
    assert stripe.tier(alice) is Tier.ENTERPRISE
    assert len(stripe.latest("subscription")["items"]["data"]) == 1
    assert stripe.latest("invoice")["amount_paid"] > 0
    stripe.deliver()
    assert [entry for entry in stripe.ledger(alice) if entry[0] != entry[1]] == [
        ("free", "pro"),
        ("pro", "enterprise"),
    ]


def test_an_upgrade_that_is_declined_changes_nothing(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    stripe.card_of(alice, Card.DECLINED)
    answer = stripe.change(alice, "enterprise")
    assert (answer.status_code, answer.get_json()["error"]) == (402, "change_not_paid")
    stripe.deliver()
    assert stripe.tier(alice) is Tier.PRO
    assert stripe.change(alice, "enterprise").get_json()["error"] == "payment_due"

    stripe.pass_time(hours=24)
    assert (stripe.tier(alice), price_now(stripe)) == (Tier.PRO, PRO)
    assert stripe.own(alice)["status"] == "active"


def test_an_upgrade_that_is_paid_later_counts_then_and_once(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    stripe.card_of(alice, Card.NEEDS_AUTHENTICATION)
    assert stripe.change(alice, "enterprise").status_code == 402
    stripe.server.invoices.settle(stripe.latest("invoice"), succeeded=True)
    stripe.deliver()

    assert stripe.tier(alice) is Tier.ENTERPRISE
    assert stripe.ledger(alice).count(("pro", "enterprise")) == 1


def test_a_downgrade_waits_for_the_end_of_the_period(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice, "enterprise")
    answer = stripe.change(alice, "pro")

    body = answer.get_json()
    assert (answer.status_code, body["tier"], body["pending_tier"]) == (200, "enterprise", "pro")
    assert stripe.own(alice)["pending_tier"] == "pro"
    stripe.pass_time(days=30)
    assert stripe.tier(alice) is Tier.ENTERPRISE
    stripe.pass_time(days=2)
    assert (stripe.tier(alice), price_now(stripe)) == (Tier.PRO, PRO)
    assert stripe.own(alice)["pending_tier"] is None


def test_a_planned_downgrade_is_taken_back_by_asking_for_the_present_plan(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice, "enterprise")
    stripe.change(alice, "pro")
    answer = stripe.change(alice, "enterprise")

    assert (answer.status_code, answer.get_json()["pending_tier"]) == (200, None)
    stripe.pass_time(days=32)
    assert (stripe.tier(alice), price_now(stripe)) == (Tier.ENTERPRISE, ENTERPRISE)


def test_cancelling_takes_a_planned_downgrade_back(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice, "enterprise")
    stripe.change(alice, "pro")
    answer = stripe.act(alice, "cancel")

    assert (answer.status_code, answer.get_json()["pending_tier"]) == (200, None)
    stripe.pass_time(days=31)
    assert stripe.tier(alice) is Tier.FREE


@pytest.mark.parametrize("times", [1, 2])
def test_from_month_to_year_is_an_upgrade_and_back_waits(stripe: RunningStripe, alice: UUID, times: int) -> None:
    stripe.buy(alice)
    for _ in range(times):
        assert stripe.change(alice, "pro", "yearly").status_code == 200
    assert price_now(stripe) == PRO_YEARLY
    for _ in range(times):
        assert stripe.change(alice, "pro", "monthly").status_code == 200
    assert price_now(stripe) == PRO_YEARLY
    assert len(list(stripe.server.books.all("subscription_schedule"))) == 1


def test_a_cancelled_one_is_resumed_before_it_is_changed(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    stripe.act(alice, "cancel")
    answer = stripe.change(alice, "enterprise")

    assert (answer.status_code, answer.get_json()["error"]) == (409, "subscription_ending")


def test_an_open_payment_comes_before_a_change(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    stripe.card_of(alice, Card.DECLINED)
    stripe.pass_time(days=32)

    assert stripe.change(alice, "enterprise").get_json()["error"] == "payment_due"


def test_a_plan_that_is_not_on_sale_cannot_be_changed_to(make_stripe: MakeStripe) -> None:
    stripe = make_stripe(prices=f"{PRO}:pro:monthly")
    alice = stripe.user()
    stripe.buy(alice)

    assert stripe.change(alice, "enterprise").get_json()["error"] == "plan_not_on_sale"


def test_a_change_whose_answer_was_lost_is_made_once(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    subscription = f"/v1/subscriptions/{stripe.latest('subscription')['id']}"
    stripe.server.faults.add(Trouble.LOST_ANSWER, under=subscription, verb="post")

    assert stripe.change(alice, "enterprise").status_code == 200
    updates = [each for each in stripe.server.books.all("invoice") if each["billing_reason"] == "subscription_update"]
    assert len(updates) == 1


def test_a_plan_that_was_switched_in_the_portal_counts(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    url = stripe.post("/stripe/create-portal-session", None, alice).get_json()["portal_url"]
    stripe.press(url, "switch", subscription=bought["id"], price=ENTERPRISE)
    stripe.deliver()

    assert stripe.tier(alice) is Tier.ENTERPRISE


def test_the_portal_is_the_callers_own_and_new_at_every_click(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    urls = {stripe.post("/stripe/create-portal-session", {}, alice).get_json()["portal_url"] for _ in range(2)}

    assert len(urls) == 2
    asked = stripe.seen("/v1/billing_portal/sessions")[0].params
    assert asked == {"customer": stripe.customer_of(alice), "return_url": HOME}


@pytest.mark.parametrize(("address", "status"), [(OTHER_ORIGIN + "/me", 200), ("https://evil.example.com/", 422)])
def test_the_portal_leads_back_to_our_own_apps(stripe: RunningStripe, alice: UUID, address: str, status: int) -> None:
    stripe.buy(alice)

    assert stripe.post("/stripe/create-portal-session", {"return_url": address}, alice).status_code == status


def test_who_never_bought_has_no_portal(stripe: RunningStripe, alice: UUID) -> None:
    answer = stripe.post("/stripe/create-portal-session", {}, alice)

    assert (answer.status_code, answer.get_json()["error"]) == (409, "no_billing_account")


def test_a_portal_that_was_not_set_up_is_our_mistake(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    stripe.server.portal.configured = False

    assert stripe.post("/stripe/create-portal-session", {}, alice).status_code == 502


def test_a_customer_who_is_gone_has_no_portal(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    stripe.server.books.objects[stripe.customer_of(alice)]["deleted"] = True

    assert stripe.post("/stripe/create-portal-session", {}, alice).status_code == 409
