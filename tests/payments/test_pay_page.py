"""Paying a statement on a page of Stripe's."""

from datetime import timedelta
from uuid import UUID

import pytest
import requests

from metering.purchase import Purchase
from payments.billing.pay import BILLING_PERIOD
from payments.billing.settle_by_hand import BillingPeriodSettled
from payments.purchases.jobs import release_reservations
from payments.purchases.pay_page import PagePurchase, open_pay_page
from tests.payments.statements import Statements
from tests.payments.test_pay_billing_period import FORTNIGHT, blocked, succeeded

pytestmark = pytest.mark.slow

DONE, BACK = "https://api.example.com/portal/done", "https://api.example.com/portal/back"


def open_page(statements: Statements, user: UUID, period: UUID) -> str:
    wanted = PagePurchase(Purchase(BILLING_PERIOD, period), "Statement of 2026-02", DONE, BACK)
    with statements.stripe.app.app_context():
        return open_pay_page(statements.stripe.rules, user, wanted)


def payments(statements: Statements) -> list[str]:
    return [str(each.status) for each in statements.stripe.query("SELECT status FROM payments ORDER BY id")]


def test_a_card_pays_it_and_unblocks(statements: Statements) -> None:
    user = statements.stripe.user()
    period = statements.due(user)
    statements.stripe.server.advance(FORTNIGHT)
    statements.mark_overdue()
    assert blocked(statements, user)
    page = open_page(statements, user, period)
    shown = requests.get(page, timeout=5).text
    assert "Pay: Statement of 2026-02" in shown and "3.00 USD" in shown
    answer = statements.stripe.press(page, "good")
    assert (answer.status_code, answer.headers["Location"]) == (303, DONE)
    assert statements.state(period) == "overdue"
    statements.stripe.deliver()
    assert (statements.state(period), payments(statements)) == ("paid", ["succeeded"])
    assert not blocked(statements, user)
    with pytest.raises(BillingPeriodSettled):
        open_page(statements, user, period)


def test_asked_for_twice_it_is_one_page_and_one_payment(statements: Statements) -> None:
    user = statements.stripe.user()
    period = statements.due(user)
    page = open_page(statements, user, period)
    assert statements.stripe.press(page, "cancel").headers["Location"] == BACK
    assert open_page(statements, user, period) == page
    statements.stripe.press(page, "good")
    assert statements.stripe.press(page, "good").status_code == 410
    statements.stripe.deliver()
    assert (statements.state(period), payments(statements), succeeded(statements)) == ("paid", ["succeeded"], 1)


def test_an_answer_of_stripe_that_was_lost_makes_no_second_page(statements: Statements) -> None:
    user = statements.stripe.user()
    period = statements.due(user)
    page = open_page(statements, user, period)
    statements.stripe.query("UPDATE payments SET external_id = 'page:' || id")
    assert open_page(statements, user, period) == page


def test_after_a_declined_card_another_one_pays(statements: Statements) -> None:
    user = statements.stripe.user()
    period = statements.due(user)
    page = open_page(statements, user, period)
    assert "declined" in statements.stripe.press(page, "declined").text
    statements.stripe.deliver()
    assert open_page(statements, user, period) == page
    statements.stripe.press(page, "good")
    statements.stripe.deliver()
    assert (statements.state(period), payments(statements)) == ("paid", ["succeeded"])


@pytest.mark.parametrize("declined", [True, False])
def test_a_page_that_nobody_pays_ends_and_another_is_made(statements: Statements, declined: bool) -> None:
    user = statements.stripe.user()
    period = statements.due(user)
    page = open_page(statements, user, period)
    if declined:
        statements.stripe.press(page, "declined")
        statements.stripe.deliver()
    statements.stripe.pass_time_unheard(hours=2)
    with statements.stripe.app.app_context():
        assert release_reservations(statements.stripe.rules) == 1
    assert (payments(statements), statements.state(period)) == (["canceled"], "due")
    assert statements.stripe.press(page, "good").status_code == 410
    assert open_page(statements, user, period) != page


def test_a_payment_that_no_event_told_of_is_found_by_asking(statements: Statements) -> None:
    user = statements.stripe.user()
    period = statements.due(user)
    statements.stripe.press(open_page(statements, user, period), "good")
    statements.stripe.server.outbox.forget_pending()
    with pytest.raises(BillingPeriodSettled):
        open_page(statements, user, period)
    assert (statements.state(period), payments(statements)) == ("paid", ["succeeded"])


def test_the_page_and_the_app_are_never_open_at_once(statements: Statements) -> None:
    user = statements.stripe.user()
    period = statements.due(user)
    page = open_page(statements, user, period)
    by_app = statements.pay(user, period).get_json()
    assert by_app["client_secret"]
    assert statements.stripe.press(page, "good").status_code == 410
    assert open_page(statements, user, period) != page
    refused = statements.stripe.post(
        "/stripe/confirm", {"payment_id": by_app["id"], "payment_method": "pm_card_visa"}, user
    )
    assert refused.get_json()["error"] == "payment_closed"
    assert payments(statements) == ["canceled", "canceled", "pending"]


def test_an_app_cannot_confirm_the_payment_of_a_page(statements: Statements) -> None:
    user = statements.stripe.user()
    open_page(statements, user, statements.due(user))
    payment = str(statements.stripe.query("SELECT id FROM payments")[0].id)
    body = {"payment_id": payment, "payment_method": "pm_card_visa"}
    assert statements.stripe.post("/stripe/confirm", body, user).status_code == 404
    assert statements.stripe.get(f"/{payment}", user).get_json()["status"] == "pending"


def test_money_that_comes_after_its_time_still_pays(statements: Statements) -> None:
    user = statements.stripe.user()
    period = statements.due(user)
    page = open_page(statements, user, period)
    statements.stripe.query("UPDATE payments SET status = 'canceled'")
    statements.stripe.press(page, "good")
    statements.stripe.server.advance(timedelta(minutes=1))
    statements.stripe.deliver()
    assert statements.state(period) == "paid"
