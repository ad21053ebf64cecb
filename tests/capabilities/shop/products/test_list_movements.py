"""GET /api/shop/products/{id}/stock-movements."""

from uuid import uuid4

from tests.capabilities.shop.products.catalogue import PRODUCTS, Catalogue


def test_movements_go_page_by_page_the_newest_first_and_add_up(catalogue: Catalogue) -> None:
    product = catalogue.product(stock_quantity=10)
    catalogue.sell(product, 3)
    catalogue.put(product, stock_was=7, stock_quantity=9)
    path = f"{PRODUCTS}/{product['id']}/stock-movements"
    first = catalogue.get(f"{path}?limit=2", catalogue.support).get_json()
    rest = catalogue.get(f"{path}?limit=2&cursor={first['next_cursor']}", catalogue.admin).get_json()
    movements = first["stock_movements"] + rest["stock_movements"]
    assert [each["delta"] for each in movements] == [2, -3, 10]
    assert rest["next_cursor"] is None
    assert (
        sum(each["delta"] for each in movements)
        == catalogue.get(f"{PRODUCTS}/{product['id']}").get_json()["stock_quantity"]
    )
    admin = catalogue.get("/api/auth/profile", catalogue.admin).get_json()["id"]
    assert [each["actor_id"] for each in movements] == [admin, None, admin]


def test_a_product_without_movements_has_none_and_another_is_404(catalogue: Catalogue) -> None:
    assert catalogue.movements(catalogue.product()) == []
    assert catalogue.get(f"{PRODUCTS}/{uuid4()}/stock-movements", catalogue.support).status_code == 404
    path = f"{PRODUCTS}/{catalogue.product(is_active=False, stock_quantity=1)['id']}/stock-movements"
    assert len(catalogue.get(path, catalogue.support).get_json()["stock_movements"]) == 1
