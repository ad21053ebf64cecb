"""Everything that the stand-in sends fits the response classes of the installed package, field by field."""

from collections.abc import Iterator
from types import NoneType
from typing import Any, Literal, Union, get_args, get_origin

import pytest
import requests
import stripe

from sandbox.stripe_server.books import Card
from sandbox.stripe_server.protocol.response_shapes import CLASSES, WrongShape, response_class, shaped
from tests.sandbox.stripe_account import ENTERPRISE, PRO, Account


def alternatives(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Union:
        return tuple(inner for each in get_args(annotation) for inner in alternatives(each))
    return (annotation,)


def nested_class(annotation: Any) -> Any:
    """The class of the response's part, of a list's elements too."""
    for each in alternatives(annotation):
        if isinstance(each, type) and issubclass(each, stripe.StripeObject):
            return each
        if get_origin(each) is list:
            return nested_class(get_args(each)[0])
    return None


def misfits(value: Any, cls: Any, where: str) -> Iterator[str]:
    """Where an object differs from its class: unknown fields, missing ones, nulls and names of no such value."""
    annotations = {name: each for name, each in cls.__annotations__.items() if not name.startswith("_")}
    annotations.pop("OBJECT_NAME", None)
    if not annotations:
        return  # a class of free keys
    yield from (f"{where}.{name} is unknown" for name in value.keys() - annotations.keys())
    for name, annotation in annotations.items():
        nullable = NoneType in get_args(annotation)
        if name not in value:
            if not nullable:
                yield f"{where}.{name} is missing"
            continue
        inner = value[name]
        if inner is None:
            if not nullable:
                yield f"{where}.{name} is null"
            continue
        yield from misfits_of_field(inner, annotation, f"{where}.{name}")


def misfits_of_field(value: Any, annotation: Any, where: str) -> Iterator[str]:
    named = [each for each in alternatives(annotation) if get_origin(each) is Literal]
    if named and isinstance(value, str) and value not in {name for each in named for name in get_args(each)}:
        yield f"{where} is {value!r}"
    for element in value if isinstance(value, list) else [value]:
        kind = element.get("object") if isinstance(element, dict) else None
        if kind == "list":
            for each in element["data"]:
                yield from misfits_of_object(each, where)
        elif isinstance(kind, str) and kind in CLASSES:
            yield from misfits_of_object(element, where)
        elif isinstance(element, dict) and (cls := nested_class(annotation)) is not None:
            yield from misfits(element, cls, where)


def misfits_of_object(value: Any, where: str = "") -> Iterator[str]:
    kind = value["object"]
    if not value.get("deleted") and kind in CLASSES:
        yield from misfits(value, response_class(kind), f"{where}<{kind}>")


@pytest.fixture
def busy(account: Account) -> Account:
    """An account in which everything happened once."""
    subscription = account.subscribe(metadata={"user_id": "1"})
    account.client.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    account.client.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": False})
    account.client.v1.subscription_schedules.create({"from_subscription": subscription.id})
    account.client.v1.billing_portal.sessions.create(
        {"customer": str(subscription.customer), "flow_data": {"type": "payment_method_update"}}
    )
    declined = account.subscribe()
    account.put_on_file(declined, Card.DECLINED)
    account.client.v1.subscriptions.update(
        declined.id,
        {
            "items": [{"id": declined.items.data[0].id, "price": ENTERPRISE}],
            "payment_behavior": "pending_if_incomplete",
            "proration_behavior": "always_invoice",
        },
    )
    account.subscribe(trial_period_days=7)
    account.subscribe(card=Card.BANK_DEBIT)
    account.advance(days=40)
    intent = account.client.v1.payment_intents.create(
        {"amount": 500, "currency": "usd", "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}}
    )
    account.client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_authenticationRequired"})
    charges = [each for each in account.server.books.all("charge") if each["status"] == "succeeded"]
    account.client.v1.customers.balance_transactions.create(account.customer().id, {"amount": -500, "currency": "usd"})
    coupon = account.client.v1.coupons.create({"percent_off": 25, "duration": "forever"})
    account.client.v1.subscriptions.create(
        {"customer": account.customer().id, "items": [{"price": PRO}], "discounts": [{"coupon": coupon.id}]}
    )
    account.client.v1.webhook_endpoints.create({"url": "https://api.example.com/webhook", "enabled_events": ["*"]})
    account.server.refunds.fail(account.server.refunds.refund(charges[0], 100))
    account.server.refunds.dispute(charges[1])
    return account


def test_every_object_fits_its_class(busy: Account) -> None:
    objects = list(busy.server.books.objects.values())

    assert {each["object"] for each in objects} == CLASSES.keys() - {"plan", "line_item"}
    assert sorted({misfit for each in objects for misfit in misfits_of_object(each)}) == []


def test_every_event_carries_an_object_that_fits(busy: Account) -> None:
    events = list(busy.server.books.all("event"))

    assert len({event["type"] for event in events}) > 20
    assert sorted({misfit for event in events for misfit in misfits_of_object(event["data"]["object"])}) == []


def test_every_type_of_event_is_one_of_stripes(busy: Account) -> None:
    named = next(each for each in alternatives(stripe.Event.__annotations__["type"]) if get_origin(each) is Literal)

    assert set(busy.kinds()) <= set(get_args(named))


def test_a_subscription_has_no_period_of_its_own(account: Account) -> None:
    sent = requests.get(
        f"{account.server.url}/v1/subscriptions/{account.subscribe().id}",
        headers={"Authorization": f"Bearer {account.server.secret_key}"},
        timeout=5,
    ).json()

    assert "current_period_end" not in sent
    assert sent["items"]["data"][0]["current_period_end"] > sent["created"]


def test_an_object_of_another_version_cannot_be_made() -> None:
    with pytest.raises(WrongShape, match="current_period_end"):
        shaped("subscription", current_period_end=1)


def test_the_check_itself_sees_what_is_wrong(account: Account) -> None:
    product = dict(account.server.books.get("product", "prod_pro"), colour="red", name=None, type="rent")
    del product["active"]

    assert set(misfits_of_object(product)) == {
        "<product>.colour is unknown",
        "<product>.name is null",
        "<product>.active is missing",
        "<product>.type is 'rent'",
    }
    assert account.client.v1.prices.retrieve(PRO).product == "prod_pro"
