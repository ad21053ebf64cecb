"""What lowers or raises an invoice: coupons, the customer's balance, quantities, changes within a period."""

from typing import Any

import pytest
import stripe

from sandbox.stripe_server.books import Card
from tests.sandbox.stripe_account import ENTERPRISE, PRO, Account


def totals(account: Account, subscription: stripe.Subscription) -> list[int]:
    """What each invoice was, oldest first."""
    return [each.total for each in reversed(invoices_of(account, subscription))]


def invoices_of(account: Account, subscription: stripe.Subscription) -> list[stripe.Invoice]:
    return account.client.v1.invoices.list({"subscription": subscription.id, "limit": 100}).data


def bought(account: Account, coupon: Any = None, quantity: int = 1) -> stripe.Subscription:
    params: Any = {"customer": account.customer().id, "items": [{"price": PRO, "quantity": quantity}]}
    if coupon is not None:
        params["discounts"] = [{"coupon": account.client.v1.coupons.create(coupon).id}]
    return account.client.v1.subscriptions.create(params)


@pytest.mark.parametrize(
    ("coupon", "expected"),
    [
        ({"percent_off": 50, "duration": "once"}, [950, 1900, 1900]),
        ({"percent_off": 50, "duration": "forever"}, [950, 950, 950]),
        ({"percent_off": 100, "duration": "repeating", "duration_in_months": 1}, [0, 1900, 1900]),
        ({"percent_off": 100, "duration": "repeating", "duration_in_months": 2}, [0, 0, 1900]),
        ({"amount_off": 500, "currency": "usd", "duration": "once"}, [1400, 1900, 1900]),
        ({"amount_off": 5000, "currency": "usd", "duration": "forever"}, [0, 0, 0]),
    ],
)
def test_a_coupon_lowers_invoices_for_as_long_as_it_says(account: Account, coupon: Any, expected: list[int]) -> None:
    subscription = bought(account, coupon)
    account.advance(days=65)

    assert totals(account, subscription) == expected
    assert account.again(subscription).status == "active"


def test_an_invoice_names_its_discount(account: Account) -> None:
    subscription = bought(account, {"percent_off": 25, "duration": "forever"})
    [invoice] = invoices_of(account, subscription)
    [taken] = invoice.total_discount_amounts or []

    assert (invoice.subtotal, taken.amount, invoice.amount_paid) == (1900, 475, 1425)
    assert account.client.v1.subscriptions.retrieve(subscription.id).discounts == [taken.discount]


def test_a_checkout_takes_a_coupon(account: Account) -> None:
    coupon = account.client.v1.coupons.create({"percent_off": 50, "duration": "once"})
    session = account.client.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "customer": account.customer().id,
            "line_items": [{"price": PRO, "quantity": 2}],
            "success_url": "https://app.example.com/done",
            "discounts": [{"coupon": coupon.id}],
        }
    )
    account.press(session.url, "good")

    assert account.last("invoice")["amount_paid"] == 1900


def test_a_discount_is_replaced_and_removed(account: Account) -> None:
    subscription = bought(account, {"percent_off": 50, "duration": "forever"})
    other = account.client.v1.coupons.create({"percent_off": 10, "duration": "forever"})
    account.client.v1.subscriptions.update(subscription.id, {"discounts": [{"coupon": other.id}]})
    account.advance(days=32)
    account.client.v1.subscriptions.update(subscription.id, {"discounts": ""})
    account.advance(days=31)

    assert totals(account, subscription) == [950, 1710, 1900]


def test_a_coupon_that_was_deleted_goes_on_where_it_is(account: Account) -> None:
    subscription = bought(account, {"percent_off": 50, "duration": "forever"})
    coupon = account.last("coupon")["id"]
    account.client.v1.coupons.delete(coupon)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.client.v1.subscriptions.update(subscription.id, {"discounts": [{"coupon": coupon}]})
    account.advance(days=32)

    assert (refused.value.code, refused.value.param) == ("resource_missing", "discounts[0][coupon]")
    assert totals(account, subscription) == [950, 950]


@pytest.mark.parametrize(
    ("coupon", "param"),
    [
        ({"duration": "once"}, "percent_off"),
        ({"percent_off": 10, "amount_off": 10, "currency": "usd"}, "percent_off"),
        ({"percent_off": 101}, "percent_off"),
        ({"amount_off": 10}, "currency"),
        ({"percent_off": 10, "duration": "repeating"}, "duration_in_months"),
    ],
)
def test_a_coupon_must_make_sense(account: Account, coupon: Any, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.client.v1.coupons.create(coupon)
    assert refused.value.param == param


def test_a_credit_pays_first(account: Account) -> None:
    subscription = bought(account)
    customer = str(subscription.customer)
    account.client.v1.customers.balance_transactions.create(customer, {"amount": -2500, "currency": "usd"})
    account.advance(days=65)

    paid = [each.amount_paid for each in reversed(invoices_of(account, subscription))]
    assert paid == [1900, 0, 1900 - 600]
    assert totals(account, subscription) == [1900, 1900, 1900]
    assert account.client.v1.customers.retrieve(customer).balance == 0
    kinds = [each.type for each in account.client.v1.customers.balance_transactions.list(customer).data]
    assert kinds == ["applied_to_invoice", "applied_to_invoice", "adjustment"]


def test_a_credit_comes_back_when_its_invoice_is_voided(account: Account) -> None:
    subscription = bought(account)
    customer = str(subscription.customer)
    account.client.v1.customers.balance_transactions.create(customer, {"amount": -600, "currency": "usd"})
    account.put_on_file(subscription, Card.DECLINED)
    account.advance(days=32)
    assert account.client.v1.customers.retrieve(customer).balance == 0

    account.client.v1.invoices.void_invoice(account.last("invoice")["id"])
    assert account.client.v1.customers.retrieve(customer).balance == -600


def test_a_quantity_multiplies(account: Account) -> None:
    subscription = bought(account, quantity=3)
    account.advance(days=32)

    assert totals(account, subscription) == [5700, 5700]


def test_a_larger_quantity_is_charged_for_the_rest_of_the_period(account: Account) -> None:
    subscription = bought(account)
    item = subscription.items.data[0].id
    account.client.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item, "quantity": 4}], "proration_behavior": "always_invoice"}
    )

    assert totals(account, subscription) == [1900, 5700]
    assert account.again(subscription).items.data[0].quantity == 4


def test_a_cheaper_plan_at_once_becomes_a_credit(account: Account) -> None:
    subscription = account.subscribe(ENTERPRISE)
    bought = account.server.books.get("subscription", subscription.id)
    account.server.subscriptions.switch(bought, account.server.books.get("price", PRO))

    newest = invoices_of(account, subscription)[0]
    assert (newest.total, newest.amount_due, newest.status) == (-8000, 0, "paid")
    assert newest.billing_reason == "subscription_update"
    assert account.client.v1.customers.retrieve(str(subscription.customer)).balance == -8000


def test_one_of_several_invoices_is_refunded(account: Account) -> None:
    subscription = bought(account)
    account.advance(days=32)
    newest, oldest = invoices_of(account, subscription)
    charge = account.server.invoices.charge_of(account.server.books.get("invoice", oldest.id))
    account.server.refunds.refund(charge)

    paid_newest = account.server.invoices.charge_of(account.server.books.get("invoice", newest.id))
    assert (charge["refunded"], paid_newest["refunded"]) == (True, False)


def test_a_refund_that_fails_comes_back(account: Account) -> None:
    bought(account)
    refund = account.server.refunds.refund(account.last("charge"))
    assert account.last("charge")["refunded"]
    account.server.refunds.fail(refund)

    charge = account.client.v1.charges.retrieve(account.last("charge")["id"])
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    assert account.client.v1.refunds.retrieve(refund["id"]).failure_reason == "lost_or_stolen_card"
    assert account.kinds()[-2:] == ["refund.failed", "charge.refund.updated"]
