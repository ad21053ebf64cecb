"""A product as clients see it. PostgreSQL writes its JSON: a list of fifty costs this process a tenth of what making it here would."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from capabilities.shop.money import WITH_THREE, WITHOUT_DIGITS
from capabilities.shop.products.bodies import ProductAnswer
from database.one_statement import rows_of
from security.edge.problems import NotFound


def _with_digits(digits: int) -> str:
    return f"concat(price_minor / {10**digits}, '.', lpad(mod(price_minor, {10**digits})::text, {digits}, '0'))"


def _any_of(currencies: str) -> str:
    return ", ".join(f"'{each}'" for each in currencies.split())


def _moment(column: str) -> str:
    return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


AS_JSON: Final = f"""(
    SELECT row_to_json(shown)::text FROM (SELECT
        id, sku, name, description,
        CASE
            WHEN currency IN ({_any_of(WITHOUT_DIGITS)}) THEN price_minor::text
            WHEN currency IN ({_any_of(WITH_THREE)}) THEN {_with_digits(3)}
            ELSE {_with_digits(2)}
        END AS price,
        price_minor, currency, category, image_url, ships, stock_quantity, is_active,
        {_moment("created_at")} AS created_at, {_moment("updated_at")} AS updated_at
    ) AS shown
)"""  # nosec B608 # noqa: S608 - constants
"""A ProductAnswer of a row of `shop_products`. `price` is `written` of money.py."""
ONE: Final = (
    f"SELECT {AS_JSON} FROM shop_products WHERE id = %(id)s AND (is_active OR %(also_inactive)s)"  # nosec B608 # noqa: S608
)
WRITTEN_JUST_NOW: Final = text(f"SELECT {AS_JSON} FROM shop_products WHERE id = :id")  # nosec B608 # noqa: S608


def read_product(engine: Engine, product_id: UUID, *, also_inactive: bool) -> bytes:
    """Its JSON. Raises NotFound."""
    asked: Mapping[str, Any] = {"id": str(product_id), "also_inactive": also_inactive}
    rows = rows_of(engine, ONE, asked)
    if not rows:
        raise NotFound
    ((shown,),) = rows
    return bytes(shown, "utf-8")


def product_answer(session: Session, product_id: UUID) -> ProductAnswer:
    """As it stands in this transaction."""
    session.flush()
    return ProductAnswer.model_validate_json(session.execute(WRITTEN_JUST_NOW, {"id": product_id}).scalar_one())
