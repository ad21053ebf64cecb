"""POST /api/shop/products."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest

from capabilities.shop.once import KEYS
from database import transaction
from metering.idempotency import HeldKey, RequestStillRunning
from tests.capabilities.shop.products.catalogue import PRODUCTS, Catalogue, some

JUNIPER = {"name": "Juniper", "price": "12.50"}


def pointers(problem: dict[str, Any]) -> list[str]:
    return [each["pointer"] for each in problem["errors"]]


def test_a_product_is_created_with_what_it_was_given(catalogue: Catalogue) -> None:
    given: dict[str, Any] = {
        "name": "Japanese black pine",
        "description": 'Words with "quotes", a\nline and ü',
        "price": "240.00",
        "currency": "eur",
        "category": "Trees",
        "image_url": "https://images.example.com/pine.jpg?width=400",
        "sku": some("PINE"),
        "ships": False,
        "is_active": False,
        "stock_quantity": 4,
    }
    made = catalogue.create(**given)
    assert made.status_code == 201, made.text
    product = made.get_json()
    assert {name: product[name] for name in given} == given
    assert product["price_minor"] == 24000
    assert product["created_at"] == product["updated_at"]
    assert made.headers["Location"] == f"{PRODUCTS}/{product['id']}"
    assert catalogue.get(made.headers["Location"], catalogue.admin).get_json() == product
    assert catalogue.movements(product) == [("initial", 4)]


def test_what_is_left_out_has_its_default(catalogue: Catalogue) -> None:
    product = catalogue.product(**JUNIPER)
    assert {name: product[name] for name in product if name not in {"id", "created_at", "updated_at"}} == {
        "sku": None,
        "name": "Juniper",
        "description": "",
        "price": "12.50",
        "price_minor": 1250,
        "currency": "usd",
        "category": None,
        "image_url": None,
        "ships": True,
        "stock_quantity": 0,
        "is_active": True,
    }
    assert catalogue.movements(product) == []


@pytest.mark.parametrize(
    ("currency", "price", "minor"),
    [("usd", "0.05", 5), ("jpy", "1200", 1200), ("kwd", "1.250", 1250), ("kwd", "0.050", 50)],
)
def test_a_price_is_given_as_a_decimal_or_in_minor_units(
    catalogue: Catalogue, currency: str, price: str, minor: int
) -> None:
    by_price = catalogue.product(name="Juniper", price=price, currency=currency)
    by_minor = catalogue.create(name="Juniper", price_minor=minor, currency=currency).get_json()
    for product in (by_price, by_minor):
        assert (product["price"], product["price_minor"], product["currency"]) == (price, minor, currency)


@pytest.mark.parametrize(
    "price", ["12.505", "1e3", "-1", "NaN", "", "Infinity", "1.", " 1", "1,5", 12.5, 12, None, True]
)
def test_a_price_that_is_none_is_refused(catalogue: Catalogue, price: object) -> None:
    refused = catalogue.create(name="Juniper", price=price)
    assert (refused.status_code, refused.get_json()["error"]) == (422, "validation_failed")
    assert pointers(refused.get_json()) == ["" if price is None else "/price"]


def test_more_digits_than_the_currency_has_are_refused_with_an_example(catalogue: Catalogue) -> None:
    refused = catalogue.create(name="Juniper", price="12.5", currency="jpy").get_json()
    (error,) = refused["errors"]
    assert error["message"] == "Enter an amount in jpy with no digits after the point, such as 1250"
    assert catalogue.create(name="Juniper", price="999999999999.99", currency="kwd").status_code == 422


@pytest.mark.parametrize(
    ("price", "pointer"), [({"price": "5.124"}, "/price"), ({"price_minor": 5124}, "/price_minor")]
)
def test_an_amount_that_stripe_does_not_charge_is_refused_with_the_nearest(
    catalogue: Catalogue, price: dict[str, Any], pointer: str
) -> None:
    refused = catalogue.create(name="Juniper", currency="kwd", **price)
    (error,) = refused.get_json()["errors"]
    assert (refused.status_code, error["pointer"]) == (422, pointer)
    assert error["message"] == "Stripe does not charge this amount in kwd. The nearest is 5.120"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"price_minor": 1250}, ""),
        ({"name": ""}, "/name"),
        ({"name": "  "}, "/name"),
        ({"name": "two\nlines"}, "/name"),
        ({"name": "x" * 201}, "/name"),
        ({"description": "x" * 10_001}, "/description"),
        ({"currency": "USD"}, "/currency"),
        ({"currency": "us"}, "/currency"),
        ({"category": ""}, "/category"),
        ({"sku": "x" * 65}, "/sku"),
        ({"stock_quantity": -1}, "/stock_quantity"),
        ({"stock_quantity": 1.5}, "/stock_quantity"),
        ({"stock_quantity": "2"}, "/stock_quantity"),
        ({"stock_quantity": 1_000_000_001}, "/stock_quantity"),
        ({"image_url": "http://images.example.com/x.png"}, "/image_url"),
        ({"image_url": "https://user:secret@images.example.com/x.png"}, "/image_url"),
        ({"image_url": "https://@images.example.com/x.png"}, "/image_url"),
        ({"image_url": "javascript:alert(1)"}, "/image_url"),
        ({"image_url": "https://"}, "/image_url"),
        ({"image_url": "https://[::1"}, "/image_url"),
        ({"image_url": "https://images.example.com:99999/"}, "/image_url"),
        ({"image_url": f"https://images.example.com/{'x' * 2048}"}, "/image_url"),
        ({"is_active": "yes"}, "/is_active"),
        ({"id": str(uuid4())}, "/id"),
        ({"stock_was": 3}, "/stock_was"),
    ],
)
def test_what_is_not_valid_is_named(catalogue: Catalogue, changes: dict[str, Any], pointer: str) -> None:
    refused = catalogue.create(**{**JUNIPER, **changes})
    assert (refused.status_code, pointers(refused.get_json())) == (422, [pointer])


def test_the_longest_texts_are_taken(catalogue: Catalogue) -> None:
    longest = f"https://images.example.com/{'x' * 2021}"
    assert len(longest) == 2048
    product = catalogue.product(name="🌲" * 200, description="🌲" * 10_000, image_url=longest)
    assert (len(product["name"]), len(product["description"])) == (200, 10_000)


def test_a_sku_belongs_to_one_product(catalogue: Catalogue) -> None:
    sku = some("JUNIPER")
    first = catalogue.product(sku=sku)
    refused = catalogue.create(**JUNIPER, sku=sku)
    assert (refused.status_code, refused.get_json()["error"]) == (409, "sku_taken")
    assert catalogue.put(catalogue.product(), sku=sku).status_code == 409
    assert catalogue.put(first, sku=sku).status_code == 200


def test_a_key_creates_one_product(catalogue: Catalogue) -> None:
    key = some("key").replace(" ", "-")
    first, again = (catalogue.create(key=key, **JUNIPER, stock_quantity=2) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.data == again.data
    assert first.headers["Location"] == again.headers["Location"]
    assert (first.headers.get("Idempotency-Replayed"), again.headers["Idempotency-Replayed"]) == (None, "true")
    reused = catalogue.create(key=key, **JUNIPER, stock_quantity=3)
    assert (reused.status_code, reused.get_json()["error"]) == (422, "idempotency_key_reused")
    assert catalogue.movements(first.get_json()) == [("initial", 2)]


def test_a_key_under_which_nothing_was_created_is_free(catalogue: Catalogue) -> None:
    key = some("key").replace(" ", "-")
    sku = some("SKU")
    catalogue.product(sku=sku)
    assert catalogue.create(key=key, **JUNIPER, sku=sku).status_code == 409
    assert catalogue.create(key=key, **JUNIPER).status_code == 201


def test_many_with_one_key_at_once_create_one_product(catalogue: Catalogue) -> None:
    key, category = some("key").replace(" ", "-"), some("Once")
    catalogue.admin  # noqa: B018 - signed in before
    with ThreadPoolExecutor(4) as at_once:
        answers = list(at_once.map(lambda _: catalogue.create(key=key, **JUNIPER, category=category), range(4)))
    assert {each.status_code for each in answers} <= {201, 409}
    ((made,),) = [
        row.values() for row in catalogue.rows("SELECT count(*) FROM shop_products WHERE category = %s", category)
    ]
    assert made == 1


def test_a_holder_that_slept_until_its_key_was_taken_over_keeps_no_answer(catalogue: Catalogue) -> None:
    """So it creates nothing: the answer is kept in the transaction that creates the product."""
    user_id = UUID(catalogue.get("/api/auth/profile", catalogue.admin).get_json()["id"])
    key = some("key").replace(" ", "-")

    def claimed() -> HeldKey:
        held = KEYS.claim(user_id, "createProduct", key, fingerprint="same", request_id=uuid4())
        assert isinstance(held, HeldKey)
        return held

    with catalogue.app.app_context():
        asleep = claimed()
        catalogue.rows(
            "UPDATE idempotency_keys SET lease_until = now() - interval '1 s' WHERE user_id = %s", str(user_id)
        )
        awake = claimed()
        with pytest.raises(RequestStillRunning), transaction() as session:
            KEYS.keep_in(session, asleep, "{}")
        with transaction() as session:
            KEYS.keep_in(session, awake, "{}")
