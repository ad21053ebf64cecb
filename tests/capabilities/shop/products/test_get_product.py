"""GET /api/shop/products/{id}."""

from uuid import uuid4

import pytest

from tests.capabilities.shop.products.catalogue import PRODUCTS, Catalogue


def test_anyone_sees_a_product(catalogue: Catalogue) -> None:
    product = catalogue.product()
    for token in (None, catalogue.buyer, catalogue.support, catalogue.admin):
        assert catalogue.get(f"{PRODUCTS}/{product['id']}", token).get_json() == product


def test_a_product_that_is_not_there_is_404(catalogue: Catalogue) -> None:
    hidden = catalogue.product(is_active=False)
    for product_id in (uuid4(), "1", hidden["id"]):
        refused = catalogue.get(f"{PRODUCTS}/{product_id}")
        assert (refused.status_code, refused.get_json()["error"]) == (404, "not_found")
    assert catalogue.get(f"{PRODUCTS}/{uuid4()}", catalogue.admin).status_code == 404


@pytest.mark.slow
def test_strangers_are_counted_by_address(catalogue: Catalogue) -> None:
    """Once for all the open reads. What a stranger may do is tested beside the guard (tests/auth/test_open_reads.py)."""
    product, here = catalogue.product(), {"X-Forwarded-For": "198.51.100.7"}
    paths = (PRODUCTS, f"{PRODUCTS}/{product['id']}", "/api/shop/categories")
    answers = [catalogue.call("GET", path, headers=here).status_code for path in paths * 33]
    assert answers == [200] * 99
    assert [catalogue.call("GET", PRODUCTS, headers=here).status_code for _ in range(2)] == [200, 429]
    assert catalogue.call("GET", PRODUCTS, catalogue.buyer, headers=here).status_code == 200
