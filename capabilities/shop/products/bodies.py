"""What the routes of products take and answer."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Self
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator

from capabilities.shop.models import MovementKind
from capabilities.shop.money import WRITTEN
from security.api.cursor import ListAnswer, ListQuery
from security.api.models import WHOLE, AnswerBody, Body
from security.api.typed_text import NOT_BLANK, ONE_LINE, SEEN, trims

LONGEST_NAME: Final = 200
LONGEST_DESCRIPTION: Final = 10_000
LONGEST_CATEGORY: Final = 100
LONGEST_SKU: Final = 64
LONGEST_URL: Final = 2048
LONGEST_QUERY: Final = 200
MOST_PIECES: Final = 1_000_000_000
HIGHEST_PRICE: Final = 1_000_000_000_000
"""In minor units. So a thousand of a hundred such products can still be added up."""


def _decimal(text: str) -> str:
    if WRITTEN.fullmatch(text) is None:
        raise ValueError("Write the amount as a decimal, such as 12.50")
    return text


def _https_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or parts.scheme != "https" or "@" in parts.netloc or not text.isascii() or not text.isprintable():
        raise ValueError("Enter an address that begins with https:// and has no user name or password in it")
    return text


Name = Annotated[
    str, Field(min_length=1, max_length=LONGEST_NAME, pattern=ONE_LINE, examples=["Juniper"]), trims(LONGEST_NAME)
]
Category = Annotated[str, Field(min_length=1, max_length=LONGEST_CATEGORY, pattern=ONE_LINE), trims(LONGEST_CATEGORY)]
Sku = Annotated[str, Field(min_length=1, max_length=LONGEST_SKU, pattern=ONE_LINE), trims(LONGEST_SKU)]
Price = Annotated[
    str, Field(json_schema_extra={"pattern": f"^{WRITTEN.pattern}$"}, examples=["12.50"]), AfterValidator(_decimal)
]
PriceMinor = Annotated[int, Field(ge=0, le=HIGHEST_PRICE), WHOLE]
Currency = Annotated[str, Field(pattern=r"^[a-z]{3}$", examples=["usd"])]
Pieces = Annotated[int, Field(ge=0, le=MOST_PIECES), WHOLE]
ImageUrl = Annotated[
    str,
    Field(max_length=LONGEST_URL, pattern=r"^https://[^@\s/?#]+([/?#]\S*)?$", json_schema_extra={"format": "uri"}),
    AfterValidator(_https_url),
]


class ProductFields(Body):
    """Send either `price` or `price_minor`. Lengths count characters."""

    name: Name
    description: Annotated[str, Field(max_length=LONGEST_DESCRIPTION)] = ""
    price: Price | None = None
    """A decimal with no more digits after the point than the currency has."""
    price_minor: PriceMinor | None = None
    """In minor units of the currency, such as cents."""
    category: Category | None = None
    image_url: ImageUrl | None = None
    """Shown to buyers. It is never fetched by this server."""
    sku: Sku | None = None
    """Your own code for the product. No two products have the same."""
    ships: bool = True
    """An order with it needs an address."""
    is_active: bool = True
    """Whether it is on sale. A product that is not is only shown to admins."""

    @model_validator(mode="after")
    def _one_price(self) -> Self:
        if (self.price is None) == (self.price_minor is None):
            raise ValueError("Send either price or price_minor")
        return self


class NewProductBody(ProductFields):
    currency: Currency | None = None
    """Null: the currency of the shop."""
    stock_quantity: Pieces = 0


class ProductBody(ProductFields):
    """Replaces all that the product has. What you leave out is empty, or as it is for a new product. Only the currency and the stock
    stay as they are.
    """

    currency: Currency | None = None
    """Null: as it is."""
    stock_quantity: Pieces | None = None
    """How many there are that can be sold. Null: as it is."""
    stock_was: Pieces | None = None
    """The `stock_quantity` that you saw before. Then only the difference is added or taken away, so that what was sold meanwhile
    stays sold. Without it the stock is set to `stock_quantity`, as after counting what is there."""

    @model_validator(mode="after")
    def _was_what(self) -> Self:
        if self.stock_was is not None and self.stock_quantity is None:
            raise ValueError("Send stock_quantity with stock_was")
        return self


class ProductAnswer(AnswerBody):
    id: UUID
    sku: str | None
    name: str
    description: str
    price: Annotated[str, Field(examples=["12.50"])]
    """Of one, as a decimal."""
    price_minor: int
    """The same in minor units of the currency, such as cents."""
    currency: str
    """ISO 4217, in lower case."""
    category: str | None
    image_url: str | None
    ships: bool
    """An order with it needs an address."""
    stock_quantity: int
    """How many can still be ordered."""
    is_active: bool
    """Whether it is on sale."""
    created_at: datetime
    updated_at: datetime
    """When staff last changed it. Orders do not count."""


class ProductSort(StrEnum):
    NEWEST = "newest"
    PRICE = "price"
    PRICE_DOWN = "-price"
    NAME = "name"


class ProductsQuery(ListQuery):
    q: Annotated[
        str | None, Field(min_length=1, max_length=LONGEST_QUERY, json_schema_extra={"pattern": SEEN}), NOT_BLANK
    ] = None
    """Words of the name or the description, in any order. `"several words"` must follow one another, `or` is between alternatives,
    and `-word` must not occur."""
    category: Category | None = None
    in_stock: bool | None = None
    """`true`: only what can be ordered now. `false`: only what is sold out."""
    sort: ProductSort = ProductSort.NEWEST
    """`price`: the cheapest first, by minor units. `-price`: the most expensive first."""


class ProductsAnswer(ListAnswer):
    products: list[ProductAnswer]


class CategoryAnswer(AnswerBody):
    category: str
    products: int
    """How many products in it are on sale."""


class CategoriesAnswer(AnswerBody):
    categories: list[CategoryAnswer]


class StockMovementAnswer(AnswerBody):
    id: UUID
    delta: int
    """How many were added, or less than 0: taken away."""
    kind: MovementKind
    """`reserve`: an order took it. `release`: the order was cancelled. `return`: a refund put it back. By staff: `initial`, `adjust`
    (some more or less), `count` (a stock-take)."""
    order_item_id: UUID | None
    refund_id: UUID | None
    actor_id: UUID | None
    """The member of the staff. Null for orders and the command line."""
    at: datetime


class StockMovementsAnswer(ListAnswer):
    stock_movements: list[StockMovementAnswer]
