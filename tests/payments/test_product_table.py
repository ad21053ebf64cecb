"""The table of products: one setting, read in both directions."""

import pytest

from auth.tiers import Tier
from payments.product_table import BillingCycle, ProductTable


def test_it_is_read_in_both_directions() -> None:
    table = ProductTable.read("com.example.pro:pro:monthly, com.example.all:enterprise:yearly,com.example.old:pro")
    assert table.tier_of("com.example.all") is Tier.ENTERPRISE
    assert table.on_sale[Tier.PRO, BillingCycle.MONTHLY].product_id == "com.example.pro"
    assert table.tier_of("com.example.unheard.of") is None


def test_a_product_that_is_no_longer_sold_keeps_its_tier() -> None:
    table = ProductTable.read("price_old:pro,price_new:pro:monthly")
    assert table.tier_of("price_old") is Tier.PRO
    assert [product.product_id for product in table.on_sale.values()] == ["price_new"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a:pro:monthly,a:enterprise:yearly", "twice"),
        ("a:pro:monthly,b:pro:monthly", "two products"),
        ("a:gold:monthly", "tier"),
        ("a:free", "tier"),
        ("a:pro:weekly", "cycle"),
        ("a", "must be"),
        (":pro:monthly", "must be"),
        ("a:pro:monthly:more", "must be"),
    ],
)
def test_a_wrong_table_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ProductTable.read(text)


def test_an_empty_table_is_false() -> None:
    assert not ProductTable.read("")
