"""GET /api/shop/products."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from capabilities.shop.products.bodies import ProductsQuery
from capabilities.shop.products.list_products import SHOWN, renew_list, statement
from database import db
from tests.capabilities.shop.products.catalogue import PRODUCTS, Catalogue, some


@pytest.fixture(scope="module")
def category(catalogue: Catalogue) -> str:
    """Of five products: two of one price, two of one name, one sold out, one that is not on sale."""
    category = some("Trees")
    for name, price, stock, active in (
        ("Pine", "30.00", 3, True),
        ("Maple", "20.00", 0, True),
        ("Maple", "30.00", 1, True),
        ("Larch", "10.00", 5, True),
        ("Elm", "5.00", 5, False),
    ):
        catalogue.product(
            name=name,
            description=f"{name} of {price.removesuffix('.00')} years, evergreen",
            price=price,
            stock_quantity=stock,
            is_active=active,
            category=category,
        )
    return category


def listed(catalogue: Catalogue, token: str | None = None, **query: Any) -> dict[str, Any]:
    answer = catalogue.get(f"{PRODUCTS}?{urlencode(query)}", token)
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def named(page: dict[str, Any]) -> list[str]:
    return [f"{each['name']} {each['price']}" for each in page["products"]]


def pages(catalogue: Catalogue, **query: Any) -> Iterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    while True:
        page = listed(catalogue, **query, **cursor)
        yield page
        if page["next_cursor"] is None:
            return
        cursor = {"cursor": page["next_cursor"]}


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("newest", ["Larch 10.00", "Maple 30.00", "Maple 20.00", "Pine 30.00"]),
        ("price", ["Larch 10.00", "Maple 20.00", "Pine 30.00", "Maple 30.00"]),
        ("-price", ["Maple 30.00", "Pine 30.00", "Maple 20.00", "Larch 10.00"]),
        ("name", ["Larch 10.00", "Maple 20.00", "Maple 30.00", "Pine 30.00"]),
    ],
)
def test_each_order_goes_page_by_page(catalogue: Catalogue, category: str, sort: str, expected: list[str]) -> None:
    assert named(listed(catalogue, category=category, sort=sort)) == expected
    for limit in (1, 2, 3):
        found = list(pages(catalogue, category=category, sort=sort, limit=limit))
        assert [name for page in found for name in named(page)] == expected
        assert all(len(page["products"]) == limit for page in found[:-1])
    assert listed(catalogue, category=category, sort=sort, limit=4)["next_cursor"] is None


def test_the_newest_are_first_where_no_order_is_named(catalogue: Catalogue, category: str) -> None:
    assert listed(catalogue, category=category) == listed(catalogue, category=category, sort="newest")


def test_admins_see_what_is_not_on_sale(catalogue: Catalogue, category: str) -> None:
    assert named(listed(catalogue, catalogue.admin, category=category, sort="price"))[0] == "Elm 5.00"
    for token in (None, catalogue.buyer, catalogue.support):
        assert len(listed(catalogue, token, category=category)["products"]) == 4


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"in_stock": "true"}, ["Larch 10.00", "Pine 30.00", "Maple 30.00"]),
        ({"in_stock": "false"}, ["Maple 20.00"]),
        ({"q": "pine"}, ["Pine 30.00"]),
        ({"q": "EVERGREEN maple"}, ["Maple 20.00", "Maple 30.00"]),
        ({"q": '"maple of" -20'}, ["Maple 30.00"]),
        ({"q": "pine or larch"}, ["Larch 10.00", "Pine 30.00"]),
        ({"q": "maple", "in_stock": "true"}, ["Maple 30.00"]),
        ({"q": "oak"}, []),
        ({"q": "':* & !"}, []),
    ],
)
def test_it_is_searched_and_filtered(
    catalogue: Catalogue, category: str, query: dict[str, str], expected: list[str]
) -> None:
    assert named(listed(catalogue, category=category, sort="price", **query)) == expected


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("cursor=nonsense", "/cursor"),
        ("cursor=00000000-0000-4000-8000-000000000000", "/cursor"),
        ("cursor=", "/cursor"),
        ("limit=0", "/limit"),
        ("limit=201", "/limit"),
        ("sort=stock", "/sort"),
        ("in_stock=yes", "/in_stock"),
        ("q=", "/q"),
        (f"q={'x' * 201}", "/q"),
        ("category=", "/category"),
        ("colour=red", "/colour"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(catalogue: Catalogue, query: str, pointer: str) -> None:
    refused = catalogue.get(f"{PRODUCTS}?{query}")
    assert (refused.status_code, [each["pointer"] for each in refused.get_json()["errors"]]) == (422, [pointer])


def test_a_cursor_of_another_list_is_refused(catalogue: Catalogue) -> None:
    product = catalogue.product(stock_quantity=1)
    (movement,) = catalogue.rows("SELECT id FROM stock_movements WHERE product_id = %s", product["id"])
    assert catalogue.get(f"{PRODUCTS}?cursor={movement['id']}").status_code == 422


def test_a_product_is_listed_as_it_is_shown(catalogue: Catalogue) -> None:
    """Also one that was created a moment before: nothing is remembered."""
    category = some("Same")
    made = [
        catalogue.product(name='"Ü" \\ 🌲', price=price, currency=currency, category=category)
        for currency, price in (("usd", "0.05"), ("jpy", "1200"), ("kwd", "0.050"), ("usd", "0.00"))
    ]
    assert listed(catalogue, category=category)["products"] == made[::-1]
    assert [catalogue.get(f"{PRODUCTS}/{each['id']}").get_json() for each in made] == made


def test_what_did_not_change_is_not_sent_again(catalogue: Catalogue) -> None:
    category = some("Cached")
    product = catalogue.product(category=category, stock_quantity=3)
    for path in (f"{PRODUCTS}?category={category.replace(' ', '%20')}", f"{PRODUCTS}/{product['id']}"):
        first = catalogue.get(path)
        etag = first.headers["ETag"]
        assert first.headers["Cache-Control"] == "public, max-age=15"
        for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
            again = catalogue.get(path, If_None_Match=known)
            assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", etag)
            assert again.headers["Cache-Control"] == "public, max-age=15"
            assert "Authorization" in again.headers.getlist("Vary")
        assert catalogue.get(path, If_None_Match='"x"').status_code == 200
        assert catalogue.get(path, catalogue.buyer, If_None_Match=etag).status_code == 304
        catalogue.sell(product, 1)
        changed = catalogue.get(path, If_None_Match=etag)
        assert (changed.status_code, changed.headers["ETag"] == etag) == (200, False)


def test_a_list_that_is_known_tells_of_every_change(catalogue: Catalogue) -> None:
    category = some("Known")
    product = catalogue.product(category=category, stock_quantity=3)
    wanted = ProductsQuery(category=category, limit=1)
    with catalogue.app.app_context():
        known = renew_list(db.engine, wanted, None)
        for change in (
            lambda: catalogue.sell(product, 1),
            lambda: catalogue.put(product, name="Another"),
            lambda: catalogue.product(category=category),
            lambda: catalogue.rows("UPDATE shop_products SET is_active = false WHERE category = %s", category),
        ):
            assert renew_list(db.engine, wanted, known) is known
            change()
            changed = renew_list(db.engine, wanted, known)
            assert changed.etag != known.etag
            known = changed
    assert json.loads(known.body) == {"next_cursor": None, "products": []}


def test_what_admins_see_is_not_stored(catalogue: Catalogue) -> None:
    product = catalogue.product()
    for path in (PRODUCTS, f"{PRODUCTS}/{product['id']}"):
        answer = catalogue.get(path, catalogue.admin, If_None_Match="*")
        assert (answer.status_code, answer.headers["Cache-Control"], "ETag" in answer.headers) == (
            200,
            "no-store",
            False,
        )


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("newest", "pk_shop_products"),
        ("price", "ix_shop_products_price_minor_id"),
        ("-price", "ix_shop_products_price_minor_id"),
        ("name", "ix_shop_products_name_id"),
    ],
)
def test_a_page_far_down_begins_at_its_place_in_an_index(catalogue: Catalogue, query: str, index: str) -> None:
    product = catalogue.product()
    wanted = ProductsQuery.model_validate_json(f'{{"sort": "{query}", "cursor": "{product["id"]}"}}')
    sql = statement(wanted, SHOWN) % {"cursor": f"'{product['id']}'", "most": 51}
    lines = [
        row["QUERY PLAN"].strip()
        for row in catalogue.rows(f"SET enable_seqscan = off; SET enable_sort = off; EXPLAIN {sql}")
    ]
    assert "Sort" not in "".join(lines)
    scanned = next(number for number, line in enumerate(lines) if f"using {index} on" in line)
    assert any(
        line.startswith("Index Cond: (ROW(" if query != "newest" else "Index Cond: (id <") for line in lines[scanned:]
    )
