"""`flask shop audit`, and the same every night."""

from collections.abc import Iterator

import pytest

from admin.assembled import ASSEMBLED
from capabilities.shop.products import audit_stock
from tests.capabilities.shop.products.catalogue import Catalogue, some


@pytest.fixture
def drifted(catalogue: Catalogue) -> Iterator[dict[str, object]]:
    """A product whose stock somebody changed past the ledger. Two others around it are right."""
    catalogue.product(stock_quantity=2)
    product = catalogue.product(name="Drifted", sku=some("DRIFT"), stock_quantity=10)
    catalogue.product(stock_quantity=3)
    catalogue.rows("UPDATE shop_products SET stock_quantity = 12 WHERE id = %s", product["id"])
    yield product
    catalogue.rows("UPDATE shop_products SET stock_quantity = 10 WHERE id = %s", product["id"])


def test_a_stock_that_adds_up_is_proved(catalogue: Catalogue) -> None:
    product = catalogue.product(stock_quantity=3)
    catalogue.sell(product, 3)
    done = catalogue.run("shop", "audit")
    ((products,),) = [row.values() for row in catalogue.rows("SELECT count(*) FROM shop_products")]
    assert (done.exit_code, done.output) == (
        0,
        f"The stock of all {products} products is the sum of its movements.\n",
    )


def test_a_drifted_product_is_named(
    catalogue: Catalogue, drifted: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_stock, "PORTION", 2)
    done = catalogue.run("shop", "audit")
    assert done.exit_code == 1
    told, summary = done.output.splitlines()
    assert told == f"{drifted['id']} {drifted['sku']} Drifted: the stock is 12, its movements add up to 10"
    assert summary.startswith("1 of ")


def test_the_nightly_audit_counts_what_it_finds(catalogue: Catalogue, drifted: dict[str, object]) -> None:
    made = catalogue.app.extensions[ASSEMBLED]
    job = made.jobs.declared["audit_stock"]
    assert job.cron is not None
    (figure,) = [each for built in made.built.values() for each in built.figures if "stock_drift" in each.name]

    def counted() -> int:
        return int(catalogue.rows(figure.sql)[0]["coalesce"])

    before = counted()
    with catalogue.app.app_context():
        assert job.run() == 1
        assert job.run() == 1
    assert counted() == before + 2
    catalogue.rows("UPDATE shop_products SET stock_quantity = 10 WHERE id = %s", drifted["id"])
    with catalogue.app.app_context():
        assert job.run() == 0
    assert counted() == before + 2
