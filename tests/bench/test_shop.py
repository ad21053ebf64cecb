"""The bench of the shop: it runs, and it does not take a wrong stock for a right one."""

import pytest

from bench import compare
from bench import shop as bench_shop
from bench.processors import NOT_PINNED
from bench.services import services
from bench.shop import FILL, Oversold, Sizes, cursor_of, require_nothing_oversold, shop


@pytest.mark.slow
def test_it_runs_with_tiny_sizes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for module, name, seconds in (
        (compare, "WARM_UP_SECONDS", 0.1),
        (compare, "WINDOW_SECONDS", 1.0),
        (bench_shop, "SELL_OUT_SECONDS", 1.0),
    ):
        monkeypatch.setattr(module, name, seconds)
    with services() as running:
        assert shop(running, NOT_PINNED, Sizes(200, 300, rounds=1, page=10, last_page=20, looks=3, few=5))
    said = capsys.readouterr().out
    assert "5 for sale" in said
    assert said.count("to reach") == 8


@pytest.mark.parametrize(
    "wrong",
    [
        "UPDATE shop_products SET stock_quantity = stock_quantity - 1 WHERE sku = 'B-2'",
        """
        UPDATE shop_products SET stock_quantity = stock_quantity - 1 WHERE sku = 'B-2';
        INSERT INTO stock_movements (id, product_id, delta, kind, at)
        SELECT gen_random_uuid(), id, -1, 'count', now() FROM shop_products WHERE sku = 'B-2'
        """,
    ],
    ids=["past the ledger", "without an order"],
)
def test_a_stock_that_its_orders_do_not_explain_fails_the_run(database_url: str, wrong: str) -> None:
    with cursor_of(database_url) as cursor:
        for statement in FILL:
            cursor.execute(statement, {"rows": 3, "stock": 5})
        require_nothing_oversold(cursor)
        cursor.execute(wrong)
        with pytest.raises(Oversold, match="1 products"):
            require_nothing_oversold(cursor)
