"""Import products from a CSV file: each row creates the product with its SKU, or changes it."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TextIO

from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from capabilities.shop.models import Product
from capabilities.shop.move_stock import StockWouldBeNegative
from capabilities.shop.products.bodies import NewProductBody, ProductBody
from capabilities.shop.products.create_product import create_product
from capabilities.shop.products.price import price_of
from capabilities.shop.products.replace_product import replace_product
from capabilities.shop.rules import ShopRules
from database import transaction
from security.api.request_bodies import parse, query_reader
from security.edge.problems import Problem, ValidationFailed, field_error

COLUMNS: Final = frozenset(ProductBody.model_fields)
KEPT: Final = frozenset({"name", "description", "category", "image_url", "ships", "is_active"})
"""What a product keeps where the file has no such column."""
BOOLEANS: Final = frozenset({"ships", "is_active"})


class UnreadableFile(Exception):
    """It is no CSV file, or has columns that products do not have."""


@dataclass(frozen=True)
class Row:
    """`line` is where it ends in the file. `cells` are those of the file's columns, by their names, as they were typed."""

    line: int
    cells: Mapping[str, str]


@dataclass
class Imported:
    created: int = 0
    changed: int = 0
    passed_over: int = 0


def read_rows(file: TextIO) -> Iterator[Row]:
    """Raises UnreadableFile."""
    try:
        reader = csv.reader(file, strict=True)
        names = [name.strip() for name in next(reader, [])]
        check_columns(names)
        for cells in reader:
            if cells:
                yield Row(reader.line_num, _named(names, cells))
    except (csv.Error, UnicodeDecodeError) as error:
        raise UnreadableFile(f"This is not a CSV file in UTF-8: {error}") from None


def check_columns(names: list[str]) -> None:
    """Raises UnreadableFile."""
    if "sku" not in names:
        raise UnreadableFile("The first line must name the columns, and one of them must be sku")
    if unknown := sorted(set(names) - COLUMNS):
        raise UnreadableFile(f"Unknown columns: {', '.join(unknown)}. Known: {', '.join(sorted(COLUMNS))}")
    if len(set(names)) < len(names):
        raise UnreadableFile("Two columns have the same name")


def _named(names: list[str], cells: list[str]) -> dict[str, str]:
    """A row with too few or too many cells has none at all, and is refused for that."""
    return dict(zip(names, cells, strict=True)) if len(cells) == len(names) else {}


def import_products(
    rules: ShopRules, rows: Iterable[Row], imported: Imported, *, check: bool
) -> Iterator[tuple[int, str]]:
    """Each row is a transaction of its own. One that cannot be imported is passed over: its line and what is wrong are given, and
    nothing of it is done. With `check` nothing is written.
    """
    lines: dict[str, int] = {}
    for row in rows:
        try:
            sku = row.cells.get("sku", "").strip()
            if not row.cells or not sku:
                raise refused("sku", "The row must have as many cells as there are columns, and a SKU")
            if sku in lines:
                raise refused("sku", f"Line {lines[sku]} has the same SKU")
            lines[sku] = row.line
            with transaction() as session:
                created = import_row(rules, session, sku, row.cells, check=check)
        except Problem as problem:
            imported.passed_over += 1
            yield from ((row.line, told) for told in reasons(problem))
        else:
            imported.created += created
            imported.changed += not created


def import_row(rules: ShopRules, session: Session, sku: str, cells: Mapping[str, str], *, check: bool) -> bool:
    """Whether the product is new. Raises ValidationFailed, StockWouldBeNegative."""
    query = select(Product).where(Product.sku == sku).with_for_update(key_share=True)
    product = session.scalars(query).one_or_none()
    if product is None:
        new = parse(NewProductBody, document(NewProductBody, {**cells, "sku": sku}))
        if check:
            price_of(new, new.currency or rules.currency)
        else:
            create_product(rules, session, new, by=None)
        return True
    changed = parse(ProductBody, document(ProductBody, {**kept(product, cells), **cells, "sku": sku}))
    if check:
        price_of(changed, changed.currency or product.currency)
        difference = (changed.stock_quantity or 0) - (changed.stock_was or 0)
        if changed.stock_was is not None and product.stock_quantity + difference < 0:
            raise StockWouldBeNegative
    else:
        replace_product(rules, session, product.id, changed, by=None)
    return False


def kept(product: Product, cells: Mapping[str, str]) -> dict[str, str]:
    """As somebody would type it."""
    values = {name: getattr(product, name) for name in KEPT}
    if not cells.keys() & {"price", "price_minor"}:
        values["price_minor"] = product.price_minor
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
        if value is not None
    }


def document(model: type[NewProductBody | ProductBody], cells: Mapping[str, str]) -> bytes:
    """The JSON that a client would send. An empty cell is not sent."""
    typed = {name: text.lower() if name in BOOLEANS else text for name, text in cells.items() if text.strip()}
    return query_reader(model).document(MultiDict(typed))


def refused(name: str, reason: str) -> ValidationFailed:
    return ValidationFailed([field_error([name], "value_error", reason)])


def reasons(problem: Problem) -> list[str]:
    errors = problem.members.get("errors")
    if not errors:
        return [problem.detail]
    return [f"{each['pointer'].removeprefix('/')}: {each['message']}".removeprefix(": ") for each in errors]
