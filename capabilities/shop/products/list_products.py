"""Lists of products, and the categories that there are."""

from typing import Final

from sqlalchemy import Select, SQLColumnExpression, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from capabilities.shop.models import Product
from capabilities.shop.products.bodies import (
    CategoriesAnswer,
    CategoryAnswer,
    ProductsAnswer,
    ProductSort,
    ProductsQuery,
)
from capabilities.shop.products.show import product_answer
from database import reading
from database.pages import page_of
from security.edge.problems import ValidationFailed, field_error

MOST_CATEGORIES: Final = 1_000

KEYS: Final[dict[ProductSort, InstrumentedAttribute[str] | InstrumentedAttribute[int] | None]] = {
    ProductSort.NEWEST: None,
    ProductSort.PRICE: Product.price_minor,
    ProductSort.PRICE_DOWN: Product.price_minor,
    ProductSort.NAME: Product.name,
}
"""By what a list is sorted, before the id. Ids are in the order of time. Each has an index."""
DOWNWARDS: Final = frozenset({ProductSort.NEWEST, ProductSort.PRICE_DOWN})


def list_products(wanted: ProductsQuery, *, also_inactive: bool) -> ProductsAnswer:
    """Raises ValidationFailed for the cursor of another list."""
    with reading() as session:
        found = session.scalars(in_order(wanted).where(*conditions(wanted, also_inactive=also_inactive))).all()
        if not found and wanted.cursor is not None:
            check_cursor(session, wanted)
    page = page_of([product_answer(row) for row in found], wanted.limit)
    return ProductsAnswer(products=list(page.items), next_cursor=page.next_cursor)


def conditions(wanted: ProductsQuery, *, also_inactive: bool) -> list[SQLColumnExpression[bool]]:
    kept: list[SQLColumnExpression[bool]] = []
    if not also_inactive:
        kept.append(Product.is_active)
    if wanted.category is not None:
        kept.append(Product.category == wanted.category)
    if wanted.in_stock is not None:
        kept.append(Product.stock_quantity > 0 if wanted.in_stock else Product.stock_quantity == 0)
    if wanted.q is not None:
        kept.append(Product.search.op("@@")(func.websearch_to_tsquery("simple", wanted.q)))
    return kept


def in_order(wanted: ProductsQuery) -> Select[Product]:
    """From the cursor's product on, by where that stands now. One row more than the page has."""
    key, downwards = KEYS[wanted.sort], wanted.sort in DOWNWARDS
    columns = [Product.id] if key is None else [key, Product.id]
    query = select(Product).order_by(*(column.desc() if downwards else column for column in columns))
    if wanted.cursor is not None:
        last = [select(column).where(Product.id == wanted.cursor).scalar_subquery() for column in columns]
        here, there = tuple_(*columns), tuple_(*last)
        query = query.where(here < there if downwards else here > there)
    return query.limit(wanted.limit + 1)


def check_cursor(session: Session, wanted: ProductsQuery) -> None:
    if session.scalars(select(Product.id).where(Product.id == wanted.cursor)).one_or_none() is None:
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
