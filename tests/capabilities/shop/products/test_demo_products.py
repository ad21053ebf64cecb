"""What the shop adds to `flask bootstrap-demo`."""

from admin.assembled import ASSEMBLED
from tests.capabilities.shop.products.catalogue import PRODUCTS, Catalogue


def test_twelve_bonsai_are_there_once(catalogue: Catalogue) -> None:
    (demo,) = [each.demo for each in catalogue.app.extensions[ASSEMBLED].built.values() if each.demo is not None]
    with catalogue.app.app_context():
        assert list(demo()) == [("products", "12 created, 0 were there")]
        assert list(demo()) == [("products", "0 created, 12 were there")]
    trees = catalogue.get(f"{PRODUCTS}?category=Indoor%20trees&sort=price").get_json()["products"]
    assert [each["sku"] for each in trees] == ["BONSAI-JADE", "BONSAI-ELM", "BONSAI-FICUS", "BONSAI-OLIVE"]
    assert all(each["stock_quantity"] > 0 and each["price"].endswith(".00") for each in trees)
