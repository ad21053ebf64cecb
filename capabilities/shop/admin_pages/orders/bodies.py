"""The filters and forms of orders."""

from typing import Annotated, Final, Literal

from pydantic import Field

from auth.page_sessions.pages import PageQuery
from capabilities.shop.models import OrderStatus
from security.api.cursor import ListQuery
from security.api.models import FilledIn
from security.api.typed_text import NOT_BLANK

LONGEST_SEARCH: Final = 254
LONGEST_TRACKING: Final = 200


class OrdersQuery(PageQuery, ListQuery):
    status: OrderStatus | None = None
    q: Annotated[str, Field(max_length=LONGEST_SEARCH), NOT_BLANK] | None = None
    """A number, an e-mail address or an ID."""


class ToShipQuery(PageQuery, ListQuery):
    pass


class CancelForm(FilledIn):
    reason: Annotated[str, Field(min_length=10, max_length=500), NOT_BLANK]


class ShipForm(FilledIn):
    """`back_to`: the list that the form stands in."""

    tracking: Annotated[str, Field(max_length=LONGEST_TRACKING), NOT_BLANK] | None = None
    back_to: Literal["shipping"] | None = None
