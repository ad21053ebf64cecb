"""What happened to an order."""

from uuid import UUID

from sqlalchemy import select

from capabilities.shop.models import Order, OrderEvent, OrderStatus
from capabilities.shop.move_order import Actor
from capabilities.shop.orders.bodies import OrderEventAnswer
from database import reading
from database.pages import Page, newest_first, page_of
from security.edge.problems import NotFound


def list_events(order_id: UUID, cursor: UUID | None, limit: int, *, of: UUID | None) -> Page[OrderEventAnswer]:
    """`of`: whose order it must be; None for the staff, who see more. Raises NotFound."""
    known = select(Order.id).where(Order.id == order_id)
    events = select(OrderEvent).where(OrderEvent.order_id == order_id)
    with reading() as session:
        if session.scalars(known if of is None else known.where(Order.user_id == of)).one_or_none() is None:
            raise NotFound
        found = session.scalars(newest_first(events, OrderEvent.id, cursor, limit)).all()
    return page_of([event_answer(row, for_staff=of is None) for row in found], limit)


def event_answer(row: OrderEvent, *, for_staff: bool) -> OrderEventAnswer:
    actor = Actor(row.actor)
    return OrderEventAnswer(
        id=row.id,
        from_status=None if row.from_status is None else OrderStatus(row.from_status),
        to_status=OrderStatus(row.to_status),
        actor=actor,
        actor_id=row.actor_id if for_staff else None,
        reason=row.reason if for_staff or actor is not Actor.STAFF else None,
        at=row.at,
    )
