"""The stand-in takes what the real API of this version takes, and refuses the rest by name."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
import stripe

from sandbox.stripe_server.protocol.parameter_schemas import operations
from tests.sandbox.stripe_account import PRO, Account

CHECKOUT = {
    "mode": "subscription",
    "line_items": [{"price": PRO, "quantity": 1}],
    "success_url": "https://app.example.com/done",
}


def ask_for_session(account: Account, **added: Any) -> stripe.checkout.Session:
    params: Any = {**CHECKOUT, **added}
    return account.client.v1.checkout.sessions.create(params)


def refusal(call: Callable[[], object]) -> stripe.InvalidRequestError:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        call()
    return refused.value


@pytest.mark.parametrize(
    ("added", "param", "code"),
    [
        ({"colour": "red"}, "colour", "parameter_unknown"),
        ({"payment_method_types": ["card"]}, "payment_method_types", "parameter_unknown"),
        ({"subscription_data": {"coupon": "x"}}, "subscription_data[coupon]", "parameter_unknown"),
        ({"line_items": [{"price": PRO, "amount": 5}]}, "line_items[0][amount]", "parameter_unknown"),
        ({"ui_mode": "hosted"}, "ui_mode", None),
        ({"mode": "gift"}, "mode", None),
        ({"expires_at": "soon"}, "expires_at", "parameter_invalid_integer"),
        ({"line_items": [{"price": "price_none", "quantity": 1}]}, "line_items[0][price]", "resource_missing"),
        ({"customer": "cus_none"}, "customer", "resource_missing"),
    ],
)
def test_a_wrong_parameter_is_named(account: Account, added: dict[str, Any], param: str, code: str | None) -> None:
    error = refusal(lambda: ask_for_session(account, **added))

    assert (error.http_status, error.param, error.code) == (400, param, code)


def test_a_missing_parameter_is_named(account: Account) -> None:
    params: Any = {"product": "prod_pro"}
    error = refusal(lambda: account.client.v1.prices.create(params))

    assert (error.param, error.code) == ("currency", "parameter_missing")


def test_an_unknown_path_is_404(account: Account) -> None:
    error = refusal(lambda: account.client.raw_request("get", "/v1/unicorns"))

    assert error.http_status == 404


def test_a_call_that_is_not_imitated_says_so(account: Account) -> None:
    with pytest.raises(stripe.APIError, match="does not imitate"):
        account.client.v1.customers.search({"query": "email:'alice@example.com'"})


def test_a_parameter_that_is_not_imitated_is_not_ignored(account: Account) -> None:
    with pytest.raises(stripe.APIError, match="shipping"):
        account.client.v1.customers.create({"shipping": {"name": "Alice", "address": {"city": "Bern"}}})


@pytest.mark.parametrize("key", ["sk_test_wrong", ""])
def test_a_wrong_key_is_401(account: Account, key: str) -> None:
    answer = requests.get(account.server.url + "/v1/customers", headers={"Authorization": f"Bearer {key}"}, timeout=5)

    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_an_object_that_does_not_exist_is_missing(account: Account) -> None:
    error = refusal(lambda: account.client.v1.subscriptions.retrieve("sub_none"))

    assert (error.http_status, error.code) == (404, "resource_missing")


def test_two_ways_to_name_the_customer_exclude_each_other(account: Account) -> None:
    both = {"customer": account.customer().id, "customer_email": "alice@example.com"}

    assert refusal(lambda: ask_for_session(account, **both)).param == "customer"


@pytest.mark.parametrize("minutes", [29, 24 * 60 + 2])
def test_a_session_lives_from_half_an_hour_to_a_day(account: Account, minutes: int) -> None:
    expires_at = account.server.books.now() + minutes * 60
    error = refusal(lambda: ask_for_session(account, expires_at=expires_at))

    assert error.param == "expires_at"


def test_a_price_that_is_not_sold_any_more_cannot_be_bought(account: Account) -> None:
    account.client.v1.prices.update(PRO, {"active": False})

    error = refusal(lambda: ask_for_session(account))
    assert error.param == "line_items[0][price]"


def test_every_operation_has_a_closed_schema() -> None:
    known = operations()

    assert len(known) > 80
    assert all(operation.schema["additionalProperties"] is False for operation in known)


def test_lists_are_paged_newest_first(account: Account) -> None:
    ids = [account.customer(f"user{number}@example.com").id for number in range(5)]

    first = account.client.v1.customers.list({"limit": 2})
    assert [each.id for each in first.data] == ids[:2:-1]
    assert [each.id for each in first.auto_paging_iter()] == ids[::-1]


def test_expanded_objects_stand_in_place_of_their_ids(account: Account) -> None:
    subscription = account.subscribe()

    full = account.client.v1.subscriptions.retrieve(
        subscription.id, {"expand": ["latest_invoice.payments", "customer", "items.data.price.product"]}
    )
    assert isinstance(full.customer, stripe.Customer)
    assert isinstance(full.latest_invoice, stripe.Invoice)
    assert full.latest_invoice.payments is not None
    assert full.latest_invoice.payments.data[0].payment.type == "payment_intent"
    product = full.items.data[0].price.product
    assert isinstance(product, stripe.Product)
    assert product.name == "Pro"
    assert isinstance(subscription.latest_invoice, str)


def test_what_cannot_be_expanded_is_refused(account: Account) -> None:
    subscription = account.subscribe()

    error = refusal(lambda: account.client.v1.subscriptions.retrieve(subscription.id, {"expand": ["moon"]}))
    assert error.param == "expand"
