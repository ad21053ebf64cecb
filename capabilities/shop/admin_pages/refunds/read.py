"""Refunds as the staff see them: with their orders, and who gave them."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from capabilities.shop.admin_pages.people import addresses_of
from capabilities.shop.models import Order, Refund, RefundState
from database import reading
from database.pages import Page, newest_first, page_of


@dataclass(frozen=True)
class ListedRefund:
    id: UUID
    refund: Refund
    order: Order


@dataclass(frozen=True)
class ListedRefunds:
    """`people`: the addresses of the staff."""

    page: Page[ListedRefund]
    people: Mapping[UUID, str]


def list_refunds(state: RefundState | None, cursor: UUID | None, limit: int) -> ListedRefunds:
    """The newest first."""
    query = select(Refund, Order).join(Order, Order.id == Refund.order_id)
    if state is not None:
        query = query.where(Refund.state == state)
    with reading() as session:
        found = session.execute(newest_first(query, Refund.id, cursor, limit)).all()
        people = addresses_of(session, [refund.actor_id for refund, _ in found])
    return ListedRefunds(page_of([ListedRefund(refund.id, refund, order) for refund, order in found], limit), people)
