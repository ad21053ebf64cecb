"""The filters and forms of orders."""

from typing import Annotated

from pydantic import Field

from auth.page_sessions.pages import PageQuery
from capabilities.shop.models import OrderStatus
from security.api.cursor import ListQuery
from security.api.models import FilledIn
from security.api.typed_text import NOT_BLANK

LONGEST_SEARCH = 254


class OrdersQuery(PageQuery, ListQuery):
    status: OrderStatus | None = None
    q: Annotated[str, Field(max_length=LONGEST_SEARCH), NOT_BLANK] | None = None
    """A number, an e-mail address or an ID."""


class ToShipQuery(PageQuery, ListQuery):
    pass


class CancelForm(FilledIn):
    reason: Annotated[str, Field(min_length=10, max_length=500), NOT_BLANK]
