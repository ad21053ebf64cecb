"""The filters and forms of orders."""

from typing import Annotated, Literal

from pydantic import Field

from auth.page_sessions.pages import PageQuery
from capabilities.shop.orders.bodies import AllOrdersQuery, Line
from security.api.cursor import ListQuery
from security.api.models import FilledIn
from security.api.typed_text import NOT_BLANK


class OrdersPageQuery(PageQuery, AllOrdersQuery):
    pass


class ToShipQuery(PageQuery, ListQuery):
    pass


class ShipForm(FilledIn):
    """`back_to`: the list that the form stands in."""

    tracking: Line | None = None
    back_to: Literal["shipping"] | None = None


class CancelForm(FilledIn):
    reason: Annotated[str, Field(min_length=10, max_length=500), NOT_BLANK]
