"""PUT /api/shop/products/{id}."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from tests.capabilities.shop.products.catalogue import PRODUCTS, Catalogue, some


def test_all_fields_are_replaced(catalogue: Catalogue) -> None:
    product = catalogue.product(
        description="old",
        category="Old",
        image_url="https://example.com/x",
        sku=some("OLD"),
        ships=False,
        stock_quantity=3,
    )
    changed = catalogue.call(
        "PUT", f"{PRODUCTS}/{product['id']}", catalogue.admin, json={"name": "Pine", "price": "15.00"}
    )
    assert changed.status_code == 200, changed.text
    assert changed.get_json() == {
        **product,
        "name": "Pine",
        "price": "15.00",
        "price_minor": 1500,
        "description": "",
        "category": None,
        "image_url": None,
        "sku": None,
        "ships": True,
        "updated_at": changed.get_json()["updated_at"],
    }
    assert changed.get_json()["updated_at"] > product["updated_at"]
    assert catalogue.movements(product) == [("initial", 3)]


def test_the_currency_stays_where_none_is_named(catalogue: Catalogue) -> None:
    product = catalogue.product(price="1200", currency="jpy")
    body = {"name": "Juniper", "price": "12.50"}
    path = f"{PRODUCTS}/{product['id']}"
    assert catalogue.call("PUT", path, catalogue.admin, json=body).status_code == 422
    answer = catalogue.call("PUT", path, catalogue.admin, json={**body, "currency": "eur"})
    assert (answer.get_json()["currency"], answer.get_json()["price_minor"]) == ("eur", 1250)


def test_what_was_sold_meanwhile_is_not_conjured_back(catalogue: Catalogue) -> None:
    product = catalogue.product(stock_quantity=10)
    catalogue.sell(product, 3)
    changed = catalogue.put(product, stock_was=10, stock_quantity=15)
    assert changed.get_json()["stock_quantity"] == 12
    assert catalogue.movements(product)[0] == ("adjust", 5)


def test_without_what_it_was_the_stock_is_counted(catalogue: Catalogue) -> None:
    product = catalogue.product(stock_quantity=10)
    catalogue.sell(product, 3)
    assert catalogue.put(product, stock_quantity=15).get_json()["stock_quantity"] == 15
    assert catalogue.movements(product)[0] == ("count", 8)
    assert catalogue.put(product, stock_quantity=0).get_json()["stock_quantity"] == 0
    assert catalogue.movements(product)[0] == ("count", -15)
    assert catalogue.put(product, stock_quantity=0).status_code == 200
    assert len(catalogue.movements(product)) == 4


def test_no_more_is_taken_away_than_there_is(catalogue: Catalogue) -> None:
    product = catalogue.product(stock_quantity=10)
    catalogue.sell(product, 8)
    refused = catalogue.put(product, name="Pine", stock_was=10, stock_quantity=7)
    assert (refused.status_code, refused.get_json()["error"]) == (409, "stock_would_be_negative")
    now = catalogue.get(f"{PRODUCTS}/{product['id']}").get_json()
    assert (now["name"], now["stock_quantity"]) == ("Juniper", 2)
    assert catalogue.put(product, stock_was=10, stock_quantity=8).get_json()["stock_quantity"] == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"stock_was": 3},
        {"stock_was": -1, "stock_quantity": 1},
        {"stock_was": 1, "stock_quantity": -1},
        {"price": "12.505"},
        {"price_minor": 5},
        {"created_at": "2026-01-01T00:00:00Z"},
    ],
)
def test_what_is_not_valid_changes_nothing(catalogue: Catalogue, changes: dict[str, Any]) -> None:
    product = catalogue.product(stock_quantity=3)
    assert catalogue.put(product, **{"name": "Pine", **changes}).status_code == 422
    assert catalogue.get(f"{PRODUCTS}/{product['id']}").get_json() == product


def test_a_product_that_is_not_there_is_404(catalogue: Catalogue) -> None:
    assert catalogue.put({**catalogue.product(), "id": uuid4()}).status_code == 404
    body = {"name": "Pine", "price": "15.00"}
    assert catalogue.call("PUT", f"{PRODUCTS}/1", catalogue.admin, json=body).status_code == 404


def test_a_change_is_an_event_with_the_price_before(catalogue: Catalogue) -> None:
    product = catalogue.product()
    catalogue.put(product, price="15.00", name="Pine")
    catalogue.put(product, price="15.00", name="Pine")
    events = catalogue.rows(
        "SELECT event, detail FROM security_events WHERE detail->>'product_id' = %s ORDER BY id", product["id"]
    )
    assert [each["event"] for each in events] == ["product_created", "product_changed"]
    assert events[1]["detail"]["before"] == {"price_minor": 1250}
    assert set(events[1]["detail"]["changed"]) == {"price_minor", "name"}


def test_changes_at_once_are_all_in_the_stock_and_in_its_movements(catalogue: Catalogue) -> None:
    product = catalogue.product(stock_quantity=10)
    changes = [{"stock_was": 10, "stock_quantity": 11}] * 4 + [{"stock_was": 10, "stock_quantity": 8}] * 2
    with ThreadPoolExecutor(6) as at_once:
        answers = list(at_once.map(lambda change: catalogue.put(product, **change), changes))
    assert {each.status_code for each in answers} == {200}
    assert catalogue.get(f"{PRODUCTS}/{product['id']}").get_json()["stock_quantity"] == 10
    assert sorted(catalogue.movements(product)) == [("adjust", -2)] * 2 + [("adjust", 1)] * 4 + [("initial", 10)]
