"""GET /api/shop/categories."""

from tests.capabilities.shop.products.catalogue import Catalogue, some


def test_categories_say_how_many_products_are_on_sale(catalogue: Catalogue) -> None:
    trees, hidden = some("Trees"), some("Hidden")
    for category, active in ((trees, True), (trees, True), (trees, False), (hidden, False), (None, True)):
        catalogue.product(category=category, is_active=active)
    answer = catalogue.get("/api/shop/categories")
    found = answer.get_json()["categories"]
    counts = {each["category"]: each["products"] for each in found}
    assert counts[trees] == 2
    assert hidden not in counts
    assert None not in counts
    again = catalogue.get("/api/shop/categories", If_None_Match=answer.headers["ETag"])
    assert (again.status_code, again.data) == (304, b"")
    assert catalogue.get("/api/shop/categories?limit=1").status_code in {200, 422}
