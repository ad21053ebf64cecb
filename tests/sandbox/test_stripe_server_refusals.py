"""Stripe refuses what belongs to the buyer's data or to the other mode, each with the words and codes that it has."""

import pytest
import stripe

from sandbox.stripe_server.server import StripeServer
from tests.sandbox.stripe_account import PRO, Account


def test_an_address_that_stripe_finds_invalid(account: Account) -> None:
    account.server.customers.refused_emails.add("alice@example.con")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.customer("alice@example.con")
    error = refused.value
    assert (error.code, error.param, error.http_status) == ("email_invalid", "email", 400)
    assert error.user_message == "Invalid email address: alice@example.con"

    customer = account.customer("alice@example.com")
    with pytest.raises(stripe.InvalidRequestError, match="Invalid email address"):
        account.client.v1.customers.update(customer.id, {"email": "alice@example.con"})


def test_a_second_currency(account: Account) -> None:
    account.server.catalogue.add_price("prod_pro", 1700, "eur", "month", price_id="price_euro")
    subscription = account.subscribe()
    customer = str(subscription.customer)
    with pytest.raises(stripe.InvalidRequestError, match="cannot combine currencies") as refused:
        account.client.v1.subscriptions.create({"customer": customer, "items": [{"price": "price_euro"}]})
    assert (refused.value.code, refused.value.http_status) == (None, 400)

    account.client.v1.subscriptions.cancel(subscription.id)
    with pytest.raises(stripe.InvalidRequestError, match="you are trying to pay in eur"):
        account.session(customer, "price_euro")


def test_an_archived_price(account: Account) -> None:
    customer = account.customer().id
    account.client.v1.prices.update(PRO, {"active": False})
    with pytest.raises(stripe.InvalidRequestError, match="price specified is inactive") as refused:
        account.session(customer)
    assert (refused.value.code, refused.value.param) == (None, "line_items[0][price]")


def test_a_list_for_a_customer_that_never_was(account: Account) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.client.v1.subscriptions.list({"customer": "cus_1"})
    assert (refused.value.code, refused.value.param) == ("resource_missing", "customer")


def test_a_list_for_a_deleted_customer_still_answers(account: Account) -> None:
    subscription = account.subscribe()
    account.client.v1.customers.delete(str(subscription.customer))
    listed = account.client.v1.subscriptions.list({"customer": str(subscription.customer), "status": "all"})

    assert [each.status for each in listed.data] == ["canceled"]


@pytest.mark.parametrize("mode", ["test", "live"])
def test_a_key_says_which_mode_it_is_of(mode: str) -> None:
    server = StripeServer(secret_key=f"sk_{mode}_0123456789")
    assert server.books.livemode is (mode == "live")


def test_the_other_mode_knows_nothing_of_this_one(account: Account) -> None:
    subscription = account.subscribe()
    account.server.switch_mode()
    with pytest.raises(stripe.AuthenticationError):
        account.client.v1.prices.retrieve(PRO)

    http_client = stripe.RequestsClient(timeout=10)
    live = stripe.StripeClient(
        account.server.secret_key, base_addresses={"api": account.server.url}, http_client=http_client
    )
    with pytest.raises(stripe.InvalidRequestError, match="a similar object exists in test mode") as refused:
        live.v1.subscriptions.retrieve(subscription.id)
    assert (refused.value.code, refused.value.http_status) == ("resource_missing", 404)
    with pytest.raises(stripe.InvalidRequestError, match=r"No such customer: .*a live mode key was used"):
        live.v1.subscriptions.list({"customer": str(subscription.customer)})
    assert live.v1.prices.retrieve(PRO).livemode
    customer = live.v1.customers.create({"email": "alice@example.com"})
    assert live.v1.subscriptions.create({"customer": customer.id, "items": [{"price": PRO}]}).livemode
    http_client.close()  # type: ignore[no-untyped-call]
