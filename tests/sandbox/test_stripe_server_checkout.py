"""The checkout page and the portal, used as a browser uses them."""

import pytest
import requests

from sandbox.stripe_server.books import Card
from tests.sandbox.stripe_account import ENTERPRISE, PRO, Account


def test_a_good_card_buys_a_subscription_and_leads_back(account: Account) -> None:
    session = account.session(account.customer().id, metadata={"user_id": "u1"})
    answer = account.press(session.url, "good")

    bought = account.client.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription"]})
    assert answer.headers["Location"] == f"https://app.example.com/done?session={session.id}"
    assert (bought.status, bought.payment_status, bought.url) == ("complete", "paid", None)
    assert bought.subscription is not None
    assert not isinstance(bought.subscription, str)
    assert bought.subscription.status == "active"
    assert bought.subscription.metadata.to_dict() == {"user_id": "u1"}
    assert account.kinds()[-1] == "checkout.session.completed"
    assert {"customer.subscription.created", "invoice.paid"} <= set(account.kinds())


def test_a_declined_card_may_be_followed_by_another(account: Account) -> None:
    session = account.session(account.customer().id)
    answer = account.press(session.url, "declined")

    assert answer.status_code == 200
    assert 'role="alert"' in answer.text
    assert account.client.v1.checkout.sessions.retrieve(session.id).status == "open"
    assert account.press(session.url, "good").status_code == 303


@pytest.mark.parametrize(("then", "status"), [("authenticated", "complete"), ("not_authenticated", "open")])
def test_3d_secure_is_a_second_page(account: Account, then: str, status: str) -> None:
    session = account.session(account.customer().id)

    assert "3-D Secure" in account.press(session.url, "needs_authentication").text
    account.press(session.url, then)
    assert account.client.v1.checkout.sessions.retrieve(session.id).status == status


@pytest.mark.parametrize(
    ("succeeded", "kind", "status"),
    [
        (True, "checkout.session.async_payment_succeeded", "active"),
        (False, "checkout.session.async_payment_failed", "incomplete_expired"),
    ],
)
def test_a_bank_debit_is_known_later(account: Account, succeeded: bool, kind: str, status: str) -> None:
    subscription = account.subscribe(card=Card.BANK_DEBIT)
    session = account.last("checkout.session")

    assert (session["payment_status"], subscription.status) == ("unpaid", "incomplete")
    account.server.checkout.settle(session, succeeded=succeeded)
    assert kind in account.kinds()
    assert account.again(subscription).status == status


def test_the_page_is_plain_html_that_loads_nothing(account: Account) -> None:
    session = account.session(account.customer().id)
    assert session.url is not None
    answer = requests.get(session.url, timeout=5)

    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<h1>Subscribe to Pro</h1>" in answer.text
    assert '<html lang="en">' in answer.text
    assert "19.00 USD" in answer.text
    assert "http" not in answer.text


def test_cancel_leads_back_and_leaves_the_session_open(account: Account) -> None:
    session = account.session(account.customer().id)

    assert account.press(session.url, "cancel").headers["Location"] == "https://app.example.com/back"
    assert account.client.v1.checkout.sessions.retrieve(session.id).status == "open"


def test_a_session_works_once(account: Account) -> None:
    session = account.session(account.customer().id)
    account.press(session.url, "good")

    assert account.press(session.url, "good").status_code == 410
    assert account.kinds().count("customer.subscription.created") == 1


@pytest.mark.parametrize("by_request", [True, False])
def test_an_expired_session_sells_nothing(account: Account, by_request: bool) -> None:
    session = account.session(account.customer().id)
    if by_request:
        account.client.v1.checkout.sessions.expire(session.id)
    else:
        account.advance(hours=24)

    assert account.press(session.url, "good").status_code == 410
    assert account.client.v1.checkout.sessions.retrieve(session.id).status == "expired"
    assert "checkout.session.expired" in account.kinds()


def test_a_trial_without_a_card_can_begin_where_the_session_allows_it(account: Account) -> None:
    session = account.client.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "customer": account.customer().id,
            "line_items": [{"price": PRO, "quantity": 1}],
            "success_url": "https://app.example.com/done",
            "payment_method_collection": "if_required",
            "subscription_data": {"trial_period_days": 7},
        }
    )
    account.press(session.url, "no_card")

    bought = account.client.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription"]})
    assert bought.payment_status == "no_payment_required"
    assert bought.subscription is not None
    assert not isinstance(bought.subscription, str)
    assert bought.subscription.status == "trialing"


def test_the_portal_cancels_in_flexible_style_and_resumes(account: Account) -> None:
    subscription = account.subscribe()
    portal = account.client.v1.billing_portal.sessions.create({"customer": str(subscription.customer)})

    account.press(portal.url, "cancel", subscription=subscription.id)
    cancelled = account.again(subscription)
    assert cancelled.cancel_at == subscription.items.data[0].current_period_end
    assert cancelled.cancel_at_period_end is False
    assert "Ends on 10 April 2026." in requests.get(portal.url, timeout=5).text

    account.press(portal.url, "resume", subscription=subscription.id)
    assert account.again(subscription).cancel_at is None


def test_the_portal_switches_plans_and_cards(account: Account) -> None:
    subscription = account.subscribe()
    portal = account.client.v1.billing_portal.sessions.create({"customer": str(subscription.customer)})

    assert "On file: a good card." in requests.get(portal.url, timeout=5).text
    account.press(portal.url, "switch", subscription=subscription.id, price=ENTERPRISE)
    account.press(portal.url, "declined")

    assert "On file: a card that is declined." in requests.get(portal.url, timeout=5).text
    assert account.again(subscription).items.data[0].price.id == ENTERPRISE
    assert account.server.books.cards[str(subscription.customer)] is Card.DECLINED


def test_the_portal_touches_nobody_elses_subscription(account: Account) -> None:
    of_alice = account.subscribe()
    portal = account.client.v1.billing_portal.sessions.create({"customer": account.customer("mallory@example.com").id})

    assert account.press(portal.url, "cancel", subscription=of_alice.id).status_code == 410
    assert account.again(of_alice).cancel_at is None


def test_a_portal_page_lives_a_few_minutes(account: Account) -> None:
    portal = account.client.v1.billing_portal.sessions.create({"customer": account.customer().id})
    account.advance(minutes=5)

    assert requests.get(portal.url, timeout=5).status_code == 410
