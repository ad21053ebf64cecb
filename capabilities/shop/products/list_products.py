"""Lists of products, and the categories that there are."""

from typing import Any, Final

from sqlalchemy import Engine, func, select

from capabilities.shop.models import Product
from capabilities.shop.products.bodies import CategoriesAnswer, CategoryAnswer, ProductSort, ProductsQuery
from capabilities.shop.products.conditional import Tagged
from capabilities.shop.products.show import AS_JSON
from database import reading
from database.one_statement import rows_of
from security.edge.problems import ValidationFailed, field_error

MOST_CATEGORIES: Final = 1_000

SHOWN: Final = f"id::text AS place, {AS_JSON}"
ORDERS: Final = {
    ProductSort.NEWEST: ("id", "<"),
    ProductSort.PRICE: ("price_minor, id", ">"),
    ProductSort.PRICE_DOWN: ("price_minor, id", "<"),
    ProductSort.NAME: ("name, id", ">"),
}
"""What a list is sorted by, which has an index, and how what follows compares. Ids are in the order of time."""


def renew_list(engine: Engine, wanted: ProductsQuery, known: Tagged | None) -> Tagged:
    """What anyone sees. PostgreSQL writes its JSON again only when a row of it is another than in `known`: each change of a row is
    one of another transaction, `xmin`. Raises ValidationFailed.
    """
    page = statement(wanted, "id, xmin")
    versions = f"SELECT string_agg(concat(id, xmin), ',') FROM ({page}) AS page"  # nosec B608 # noqa: S608 - constants
    # First, so that the list is never older than its version. Newer does no harm: then it is read again.
    ((version,),) = rows_of(engine, versions, values_of(wanted))
    if known is not None and version is not None and known.version == version:
        return known
    return Tagged.of(list_products(engine, wanted, also_inactive=False), version)


def list_products(engine: Engine, wanted: ProductsQuery, *, also_inactive: bool) -> bytes:
    """The JSON of a ProductsAnswer. Raises ValidationFailed for the cursor of another list."""
    values = values_of(wanted)
    found = rows_of(engine, statement(wanted, SHOWN, also_inactive=also_inactive), values)
    if not found and wanted.cursor is not None:
        check_cursor(engine, values)
    page = found[: wanted.limit]
    next_cursor = f'"{page[-1][0]}"' if len(found) > wanted.limit else "null"
    products = ",".join([shown for _, shown in page])
    return bytes(f'{{"next_cursor":{next_cursor},"products":[{products}]}}', "utf-8")


def values_of(wanted: ProductsQuery) -> dict[str, Any]:
    return {**wanted.model_dump(), "cursor": str(wanted.cursor), "most": wanted.limit + 1}


def statement(wanted: ProductsQuery, shown: str, *, also_inactive: bool = False) -> str:
    """With one row more than the page has. A page begins behind where the cursor's product stands now."""
    columns, follows = ORDERS[wanted.sort]
    conditions = ["true" if also_inactive else "is_active"]
    if wanted.category is not None:
        conditions.append("category = %(category)s")
    if wanted.in_stock is not None:
        conditions.append("stock_quantity > 0" if wanted.in_stock else "stock_quantity = 0")
    if wanted.q is not None:
        conditions.append("search @@ websearch_to_tsquery('simple', %(q)s)")
    if wanted.cursor is not None:
        place = f"(SELECT {columns} FROM shop_products WHERE id = %(cursor)s)"  # nosec B608 # noqa: S608 - constants
        conditions.append(f"({columns}) {follows} {place}")
    direction = "DESC" if follows == "<" else "ASC"
    order = ", ".join(f"{column} {direction}" for column in columns.split(", "))
    listed = f"SELECT {shown} FROM shop_products"  # nosec B608 # noqa: S608 - constants
    return f"{listed} WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT %(most)s"


def check_cursor(engine: Engine, values: dict[str, Any]) -> None:
    if not rows_of(engine, "SELECT FROM shop_products WHERE id = %(cursor)s", values):
        raise ValidationFailed([field_error(["cursor"], "unknown_cursor", "This is not a cursor of this list")])


def list_categories() -> CategoriesAnswer:
    query = (
        select(Product.category, func.count())
        .where(Product.is_active, Product.category.is_not(None))
        .group_by(Product.category)
        .order_by(Product.category)
        .limit(MOST_CATEGORIES)
    )
    with reading() as session:
        return CategoriesAnswer(
            categories=[CategoryAnswer(category=name, products=count) for name, count in session.execute(query)]
        )
