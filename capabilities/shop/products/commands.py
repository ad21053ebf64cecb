"""`flask shop`: importing products, and proving the stock."""

import sys
from pathlib import Path

import click
from flask.cli import AppGroup

from capabilities.shop.products.audit_stock import StockAudit
from capabilities.shop.products.demo_products import create_demo_products
from capabilities.shop.products.import_products import Imported, UnreadableFile, import_products, read_rows
from capabilities.shop.rules import ShopRules


def shop_commands(rules: ShopRules) -> AppGroup:
    group = AppGroup("shop", help="Import products and check the stock.")

    @group.command("import")
    @click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
    @click.option("--check", is_flag=True, help="Only say what would be done.")
    def import_file(file: Path, check: bool) -> None:
        """Import products from a CSV file in UTF-8.

        The first line names the columns: sku, name, description, price or price_minor, currency, category, image_url, ships,
        stock_quantity, stock_was, is_active. A product with the SKU is changed in these columns, otherwise one is created. A row
        with an error is passed over and reported with its line; the other rows are imported. Then the exit code is 1.
        """
        imported = Imported()
        try:
            with file.open(encoding="utf-8-sig", newline="") as opened:
                for line, reason in import_products(rules, read_rows(opened), imported, check=check):
                    click.echo(f"Line {line}: {reason}.", err=True)
        except UnreadableFile as refusal:
            raise click.ClickException(f"{refusal}.") from None
        told = f"{imported.created} created, {imported.changed} changed, {imported.passed_over} passed over."
        click.echo(f"Nothing was written. It would be: {told}" if check else told)
        if imported.passed_over:
            sys.exit(1)

    @group.command("demo")
    def demo() -> None:
        """Create the products of `flask bootstrap-demo` that are not there yet."""
        for name, text in create_demo_products(rules):
            click.echo(f"{name:<9}{text}")

    @group.command("audit")
    def audit() -> None:
        """Check that the stock of each product is the sum of its movements. If not, names them and exits with code 1."""
        checked = StockAudit()
        found = 0
        for drift in checked.drifts():
            found += 1
            named = f"{drift.product_id} {drift.sku or ''} {drift.name}".replace("  ", " ")
            click.echo(f"{named}: the stock is {drift.stock}, its movements add up to {drift.movements}")
        if found:
            click.echo(f"{found} of {checked.products} products are wrong.", err=True)
            sys.exit(1)
        click.echo(f"The stock of all {checked.products} products is the sum of its movements.")

    return group
