"""The filters and the form of refunds."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from auth.page_sessions.pages import PageQuery
from capabilities.shop.models import RefundState
from capabilities.shop.refunds.bodies import RefundAmountBody, RefundItemsBody, RefundLine
from security.api.cursor import ListQuery
from security.api.models import FilledIn
from security.api.typed_text import NOT_BLANK
from security.edge.problems import ValidationFailed, field_error

MOST_LINES = 100


class RefundsPageQuery(PageQuery, ListQuery):
    state: RefundState | None = None


class RefundForm(FilledIn):
    """`attempt`: of the page that showed the form. Sent again, it is the same refund. `line`, `quantity` and `restock` belong
    together, one of each for every line of the order.
    """

    attempt: UUID
    line: Annotated[list[UUID], Field(max_length=MOST_LINES)] = []
    quantity: Annotated[list[Annotated[int, Field(ge=0, le=100_000)]], Field(max_length=MOST_LINES)] = []
    restock: Annotated[list[bool], Field(max_length=MOST_LINES)] = []
    amount: Annotated[str, Field(max_length=20)] | None = None
    reason: Annotated[str, Field(min_length=10, max_length=500), NOT_BLANK]

    def wanted(self) -> RefundItemsBody | RefundAmountBody:
        """The same as the API takes. Raises ValidationFailed."""
        if not len(self.line) == len(self.quantity) == len(self.restock):
            raise ValidationFailed([field_error(["amount"], "lines", "Reload the page and try again")])
        if any(self.quantity) == (self.amount is not None):
            raise ValidationFailed([field_error(["amount"], "one_of", "Enter either pieces or an amount")])
        if self.amount is not None:
            return RefundAmountBody(amount=self.amount, reason=self.reason)
        return RefundItemsBody(items=self._items(), reason=self.reason)

    def _items(self) -> list[RefundLine]:
        return [
            RefundLine(order_item_id=line, quantity=quantity, restock=restock)
            for line, quantity, restock in zip(self.line, self.quantity, self.restock, strict=True)
            if quantity
        ]
