"""The JSON of refunds."""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import Discriminator, Field, Tag

from capabilities.shop.models import RefundState
from security.api.models import WHOLE, AnswerBody, Body, OneOfBody
from security.api.typed_text import ONE_LINE, trims

LONGEST_REASON: Final = 500
Reason = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_REASON, pattern=ONE_LINE, examples=["Arrived broken"]),
    trims(LONGEST_REASON),
]


class RefundLine(Body):
    order_item_id: UUID
    quantity: Annotated[int, Field(ge=1, le=100_000), WHOLE]
    restock: bool
    """Whether these goods go back into the stock. Goods that are back already are not counted twice."""


class RefundItemsBody(Body):
    items: Annotated[list[RefundLine], Field(min_length=1, max_length=100)]
    """Each line of the order at most once. What they cost is refunded; shipping is not."""
    reason: Reason
    """Only shown to staff."""


class RefundAmountBody(Body):
    amount: Annotated[str, Field(max_length=20, examples=["12.50"])]
    """In the currency of the order."""
    reason: Reason
    """Only shown to staff."""


def _form_of(document: Any) -> str | None:
    members = document.keys() if isinstance(document, dict) else set()
    if "amount" not in members:
        return "items"
    return None if "items" in members else "amount"


ONE_REFUND = Discriminator(_form_of, custom_error_type="one_of", custom_error_message="Send either items or amount")


class RefundBody(
    OneOfBody[
        Annotated[Annotated[RefundItemsBody, Tag("items")] | Annotated[RefundAmountBody, Tag("amount")], ONE_REFUND]
    ]
):
    """What goes back: `items` of the order, or an `amount`. And the `reason`."""


class RefundedLine(AnswerBody):
    order_item_id: UUID
    quantity: int
    restock: bool


class RefundAnswer(AnswerBody):
    id: UUID
    order_id: UUID
    amount: str
    amount_minor: int
    """In the currency's minor units, such as cents."""
    currency: str
    reason: str
    state: RefundState
    """`requested`: Stripe has not confirmed it yet. `failed`: no money went back."""
    items: list[RefundedLine]
    stripe_refund_id: str | None
    actor_id: UUID | None
    """The member of the staff who made it. Null for a cancelled order, and for refunds made in Stripe's dashboard."""
    created_at: datetime
    done_at: datetime | None
    """When it was done, or failed."""
