"""DELETE /api/shop/products/{id}."""

from uuid import uuid4

from tests.capabilities.shop.products.catalogue import PRODUCTS, Catalogue, some


def test_a_product_is_taken_off_sale_and_stays_for_admins(catalogue: Catalogue) -> None:
    category = some("Withdrawn")
    product = catalogue.product(category=category, stock_quantity=3)
    path, listed = f"{PRODUCTS}/{product['id']}", f"{PRODUCTS}?category={category}"
    for _ in range(2):
        gone = catalogue.call("DELETE", path, catalogue.admin)
        assert (gone.status_code, gone.data) == (204, b"")
    for token in (None, catalogue.buyer, catalogue.support):
        assert catalogue.get(path, token).status_code == 404
        assert catalogue.get(listed, token).get_json()["products"] == []
    shown = catalogue.get(path, catalogue.admin)
    assert (shown.status_code, shown.get_json()["is_active"], shown.get_json()["stock_quantity"]) == (200, False, 3)
    assert [each["id"] for each in catalogue.get(listed, catalogue.admin).get_json()["products"]] == [product["id"]]
    assert catalogue.put({**product, "is_active": True}).status_code == 200
    assert catalogue.get(path).status_code == 200


def test_a_product_that_is_not_there_is_404(catalogue: Catalogue) -> None:
    assert catalogue.call("DELETE", f"{PRODUCTS}/{uuid4()}", catalogue.admin).status_code == 404
