"""`flask shop import`."""

from pathlib import Path
from typing import Any

import pytest

from tests.capabilities.shop.products.catalogue import Catalogue, some


class File:
    def __init__(self, catalogue: Catalogue, folder: Path) -> None:
        self.catalogue = catalogue
        self.path = folder / "products.csv"

    def load(self, text: str | bytes, *options: str) -> tuple[int, list[str]]:
        """The exit code and the lines that were said."""
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        done = self.catalogue.run("shop", "import", str(self.path), *options)
        return done.exit_code, [line for line in done.output.splitlines() if not line.startswith("{")]

    def found(self, sku: str) -> dict[str, Any] | None:
        rows = self.catalogue.rows("SELECT * FROM shop_products WHERE sku = %s", sku)
        return rows[0] if rows else None


@pytest.fixture
def file(catalogue: Catalogue, tmp_path: Path) -> File:
    return File(catalogue, tmp_path)


def test_products_are_created_and_changed_by_their_sku(catalogue: Catalogue, file: File) -> None:
    old, new = some("OLD"), some("NEW")
    product = catalogue.product(sku=old, description="Old", category="Trees", stock_quantity=3)
    text = f'\ufeffsku,name,price,currency,stock_quantity,ships\r\n{old},"Pine, black",15.00,,5,\r\n{new},Maple,1200,jpy,2,FALSE\r\n'
    assert file.load(text) == (0, ["1 created, 1 changed, 0 passed over."])
    changed, created = file.found(old), file.found(new)
    assert changed is not None
    assert created is not None
    assert (changed["name"], changed["price_minor"], changed["stock_quantity"]) == ("Pine, black", 1500, 5)
    assert (changed["description"], changed["category"], changed["currency"], changed["ships"]) == (
        "Old",
        "Trees",
        "usd",
        True,
    )
    assert (created["price_minor"], created["currency"], created["ships"]) == (1200, "jpy", False)
    assert catalogue.movements(product) == [("count", 2), ("initial", 3)]
    assert file.load(text) == (0, ["0 created, 2 changed, 0 passed over."])
    assert len(catalogue.movements(product)) == 2


def test_one_column_alone_can_be_changed(catalogue: Catalogue, file: File) -> None:
    sku = some("SKU")
    product = catalogue.product(sku=sku, ships=False, image_url="https://example.com/x", stock_quantity=10)
    catalogue.sell(product, 3)
    assert file.load(f"sku,stock_was,stock_quantity\n{sku},10,15\n")[0] == 0
    changed = catalogue.get(f"/api/shop/products/{product['id']}").get_json()
    assert changed == {**product, "stock_quantity": 12}


def test_a_bad_row_is_reported_and_holds_up_no_other(catalogue: Catalogue, file: File) -> None:
    first, bad, last = some("A"), some("B"), some("C")
    text = f"sku,name,price,stock_quantity\n{first},Pine,15.00,1\n{bad},Maple,12.505,7\n{last},Larch,9.00,2\n"
    code, lines = file.load(text)
    assert code == 1
    assert lines == [
        "Line 3: price: Enter an amount in usd with at most 2 digits after the point, such as 12.50.",
        "2 created, 0 changed, 1 passed over.",
    ]
    assert file.found(bad) is None
    assert file.found(first) is not None
    assert file.found(last) is not None


def test_nothing_of_a_bad_row_is_done(catalogue: Catalogue, file: File) -> None:
    sku = some("SKU")
    product = catalogue.product(sku=sku, stock_quantity=2)
    code, lines = file.load(f"sku,name,price,stock_was,stock_quantity\n{sku},Pine,15.00,10,7\n")
    assert (code, lines[0]) == (1, "Line 2: There are not that many left.")
    assert catalogue.get(f"/api/shop/products/{product['id']}").get_json() == product


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (",Pine,15.00,", "sku: The row must have as many cells as there are columns, and a SKU"),
        ("{sku},Pine", "sku: The row must have as many cells as there are columns, and a SKU"),
        ("{sku},Pine,15.00,,", "sku: The row must have as many cells as there are columns, and a SKU"),
        ("{sku},,15.00,", "name: Field required"),
        ("{sku},Pine,,", "Send either price or price_minor"),
        ("{sku},Pine,1e3,", "price: Write the amount as a decimal, such as 12.50"),
        ("{sku},Pine,15.00,-1", "stock_quantity: Input should be greater than or equal to 0"),
        ("{sku},Pine,15.00,many", "stock_quantity: Input should be a valid integer"),
    ],
)
def test_each_bad_row_says_why(file: File, row: str, told: str) -> None:
    sku = some("SKU")
    for options in ((), ("--check",)):
        code, lines = file.load(f"sku,name,price,stock_quantity\n{row.format(sku=sku)}\n", *options)
        assert (code, lines[0]) == (1, f"Line 2: {told}.")
    assert file.found(sku) is None


def test_a_sku_stands_in_a_file_once(file: File) -> None:
    sku = some("SKU")
    code, lines = file.load(f"sku,name,price\n{sku},Pine,15.00\n{sku},Maple,15.00\n")
    assert (code, lines[0]) == (1, "Line 3: sku: Line 2 has the same SKU.")
    found = file.found(sku)
    assert found is not None
    assert found["name"] == "Pine"


def test_a_check_writes_nothing(catalogue: Catalogue, file: File) -> None:
    old, new = some("OLD"), some("NEW")
    product = catalogue.product(sku=old, stock_quantity=2)
    code, lines = file.load(f"sku,name,price,stock_quantity\n{old},Pine,15.00,9\n{new},Maple,12.50,1\n", "--check")
    assert (code, lines) == (0, ["Nothing was written. It would be: 1 created, 1 changed, 0 passed over."])
    assert file.found(new) is None
    assert catalogue.get(f"/api/shop/products/{product['id']}").get_json() == product
    code, lines = file.load(f"sku,stock_was,stock_quantity\n{old},9,1\n", "--check")
    assert (code, lines[0]) == (1, "Line 2: There are not that many left.")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "Error: The first line must name the columns, and one of them must be sku."),
        ("name,price\nPine,15.00\n", "Error: The first line must name the columns, and one of them must be sku."),
        ("sku,colour\nA,red\n", "Error: Unknown columns: colour. Known: "),
        ("sku,sku\nA,B\n", "Error: Two columns have the same name."),
        (b"sku,name\nA,\xff\n", "Error: This is not a CSV file in UTF-8: "),
        ('sku,name\n"A"x,Pine\n', "Error: This is not a CSV file in UTF-8: "),
    ],
)
def test_a_file_that_is_none_is_refused(file: File, text: str | bytes, told: str) -> None:
    code, lines = file.load(text)
    assert code == 1
    assert lines[0].startswith(told)
