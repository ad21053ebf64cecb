"""The filters and forms of products."""

from typing import Annotated

from pydantic import Field, field_validator

from auth.page_sessions.pages import PageQuery
from capabilities.shop.products.bodies import MOST_PIECES, ProductsQuery
from security.api.cursor import ListQuery
from security.api.models import FilledIn


class ProductsPageQuery(PageQuery, ProductsQuery):
    pass


class ProductPageQuery(PageQuery, ListQuery):
    """Of the movements of its stock."""


class CountForm(FilledIn):
    stock_quantity: Annotated[int, Field(ge=0, le=MOST_PIECES)]


class AdjustForm(FilledIn):
    delta: Annotated[int, Field(ge=-MOST_PIECES, le=MOST_PIECES)]

    @field_validator("delta")
    @classmethod
    def _some(cls, delta: int) -> int:
        if delta == 0:
            raise ValueError("Enter how many come or go")
        return delta
