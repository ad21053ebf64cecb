"""POST /api/shop/products."""

from tests.capabilities.shop.products.catalogue import PRODUCTS, Catalogue


def test_it(catalogue: Catalogue) -> None:
    made = catalogue.create(name="Juniper", price="12.50", stock_quantity=3)
    assert made.status_code == 201, made.text
    print(made.get_json(), made.headers)
    x = catalogue.get(PRODUCTS)
    print(x.text, x.headers)
    assert 0
