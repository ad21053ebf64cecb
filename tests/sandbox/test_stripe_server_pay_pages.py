"""Checkout in payment mode: a page that takes money once. Driven by Stripe's own package and by what a browser sends."""

from typing import Any

import pytest
import requests
import stripe

from tests.sandbox.stripe_account import PRO, Account

LINE = {
    "price_data": {"currency": "usd", "unit_amount": 300, "product_data": {"name": "Statement of 2026-02"}},
    "quantity": 1,
}
PARAMETERS: dict[str, Any] = {
    "mode": "payment",
    "line_items": [LINE],
    "success_url": "https://app.example.com/done?session={CHECKOUT_SESSION_ID}",
    "cancel_url": "https://app.example.com/back",
    "payment_intent_data": {"metadata": {"payment_id": "p1"}},
    "metadata": {"order": "o1"},
}


def open_page(account: Account, key: str | None = None, **changes: Any) -> stripe.checkout.Session:
    parameters: Any = {**PARAMETERS, **changes}
    return account.client.v1.checkout.sessions.create(parameters, {} if key is None else {"idempotency_key": key})


def again(account: Account, page: stripe.checkout.Session) -> stripe.checkout.Session:
    return account.client.v1.checkout.sessions.retrieve(page.id, {"expand": ["payment_intent", "line_items"]})


def intent_of(account: Account, page: stripe.checkout.Session) -> stripe.PaymentIntent:
    intent = again(account, page).payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    return intent


def test_a_good_card_pays_once_and_leads_back(account: Account) -> None:
    customer = account.customer()
    page = open_page(account, customer=customer.id, line_items=[{**LINE, "quantity": 2}])
    assert (page.status, page.payment_status, page.amount_total, page.currency) == ("open", "unpaid", 600, "usd")
    assert page.payment_intent is None

    paid = account.press(page.url, "good")
    assert (paid.status_code, paid.headers["Location"]) == (303, f"https://app.example.com/done?session={page.id}")
    done, intent = again(account, page), intent_of(account, page)
    assert (done.status, done.payment_status, done.url, done.subscription) == ("complete", "paid", None, None)
    assert (intent.status, intent.amount_received, intent.customer) == ("succeeded", 600, customer.id)
    assert intent.metadata.to_dict() == {"payment_id": "p1"}
    assert done.metadata is not None and done.metadata.to_dict() == {"order": "o1"}
    assert done.line_items is not None and [line.amount_total for line in done.line_items.data] == [600]
    assert account.kinds()[-3:] == ["charge.succeeded", "payment_intent.succeeded", "checkout.session.completed"]

    assert account.press(page.url, "good").status_code == 410
    assert len(account.client.v1.charges.list({"payment_intent": intent.id}).data) == 1


def test_after_a_declined_card_another_pays_the_same_intent(account: Account) -> None:
    page = open_page(account)
    shown = account.press(page.url, "declined")
    assert (shown.status_code, "declined" in shown.text) == (200, True)
    tried = intent_of(account, page)
    assert (again(account, page).status, tried.status) == ("open", "requires_payment_method")
    assert account.press(page.url, "good").status_code == 303
    assert intent_of(account, page).id == tried.id
    assert len(list(account.server.books.all("payment_intent"))) == 1


@pytest.mark.parametrize(("then", "status"), [("authenticated", "complete"), ("not_authenticated", "open")])
def test_3d_secure_is_a_second_page(account: Account, then: str, status: str) -> None:
    page = open_page(account)
    assert "3-D Secure" in account.press(page.url, "needs_authentication").text
    account.press(page.url, then)
    assert again(account, page).status == status


def test_its_intent_is_the_pages_alone(account: Account) -> None:
    page = open_page(account)
    account.press(page.url, "declined")
    intent = intent_of(account, page)
    with pytest.raises(stripe.InvalidRequestError, match="confirm the PaymentIntent for a Checkout Session"):
        account.client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    with pytest.raises(stripe.InvalidRequestError, match="cancel the PaymentIntent for a Checkout Session"):
        account.client.v1.payment_intents.cancel(intent.id)


@pytest.mark.parametrize("by_request", [True, False])
def test_a_page_that_is_over_takes_no_money(account: Account, by_request: bool) -> None:
    page = open_page(account)
    if by_request:
        account.client.v1.checkout.sessions.expire(page.id)
        with pytest.raises(stripe.InvalidRequestError):
            account.client.v1.checkout.sessions.expire(page.id)
    else:
        account.advance(hours=24)
    assert account.press(page.url, "good").status_code == 410
    assert (again(account, page).status, again(account, page).payment_intent) == ("expired", None)
    assert "checkout.session.expired" in account.kinds()


def test_back_leaves_it_open(account: Account) -> None:
    page = open_page(account)
    assert account.press(page.url, "cancel").headers["Location"] == "https://app.example.com/back"
    assert again(account, page).status == "open"


def test_the_same_key_is_the_same_page(account: Account) -> None:
    assert open_page(account, "one").id == open_page(account, "one").id != open_page(account, "two").id
    with pytest.raises(stripe.IdempotencyError):
        open_page(account, "one", line_items=[{**LINE, "quantity": 2}])


def test_what_was_paid_can_be_given_back(account: Account) -> None:
    page = open_page(account)
    account.press(page.url, "good")
    refund = account.client.v1.refunds.create({"payment_intent": intent_of(account, page).id})
    assert (refund.status, refund.amount) == ("succeeded", 300)


def test_the_page_says_what_is_paid_and_takes_cards_alone(account: Account) -> None:
    page = open_page(account)
    assert page.url is not None
    shown = requests.get(page.url, timeout=5).text
    assert "<h1>Pay: Statement of 2026-02</h1>" in shown and "3.00 USD" in shown
    assert "bank debit" not in shown and " a month" not in shown


INLINE = LINE["price_data"]
REFUSED: dict[str, dict[str, Any]] = {
    "subscription_data": {"subscription_data": {"trial_period_days": 7}},
    "payment_intent_data": {"mode": "subscription", "line_items": [{"price": PRO, "quantity": 1}]},
    "amount": {"line_items": [{"price_data": {**INLINE, "unit_amount": 49}, "quantity": 1}]},  # type: ignore[dict-item]
    "line_items": {"line_items": [LINE, LINE]},
    "expires_at": {"expires_at": 1},
    "success_url": {"success_url": "javascript:alert(1)"},
    "mode": {"mode": "setup"},
    "allowed_payment_method_types": {"allowed_payment_method_types": ["sepa_debit"]},
}


@pytest.mark.parametrize("param", REFUSED)
def test_what_it_does_not_take_is_named(account: Account, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        open_page(account, **REFUSED[param])
    assert refused.value.param == param
    assert list(account.server.books.all("checkout.session")) == []


def test_a_customer_keeps_to_one_currency(account: Account) -> None:
    subscription = account.subscribe()
    euros = {**INLINE, "currency": "eur"}  # type: ignore[dict-item]
    with pytest.raises(stripe.InvalidRequestError, match="cannot combine currencies"):
        open_page(account, customer=str(subscription.customer), line_items=[{"price_data": euros, "quantity": 1}])
