"""An order moves: from which status to which, and never from one that somebody else has left meanwhile."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import Session

from capabilities.shop.models import Order, OrderEvent, OrderStatus

MOVES: Final[Mapping[OrderStatus, frozenset[OrderStatus]]] = MappingProxyType(
    {
        OrderStatus.PENDING: frozenset({OrderStatus.CONFIRMED, OrderStatus.CANCELLED}),
        OrderStatus.CONFIRMED: frozenset({OrderStatus.SHIPPED, OrderStatus.CANCELLED}),
        OrderStatus.SHIPPED: frozenset({OrderStatus.DELIVERED}),
        OrderStatus.DELIVERED: frozenset(),
        OrderStatus.CANCELLED: frozenset(),
    }
)
AT: Final[Mapping[OrderStatus, str]] = MappingProxyType(
    {
        OrderStatus.CONFIRMED: "confirmed_at",
        OrderStatus.SHIPPED: "shipped_at",
        OrderStatus.DELIVERED: "delivered_at",
        OrderStatus.CANCELLED: "cancelled_at",
    }
)


class Actor(StrEnum):
    BUYER = "buyer"
    STAFF = "staff"
    PAYMENT = "payment"
    SYSTEM = "system"


def move_order(
    session: Session,
    order_id: UUID,
    old: OrderStatus,
    new: OrderStatus,
    now: datetime,
    *,
    actor: Actor,
    actor_id: UUID | None = None,
    reason: str | None = None,
    **columns: Any,
) -> bool:
    """False when the order is not in `old` any more: somebody was quicker, and the move is judged anew. `columns` are written too."""
    assert new in MOVES[old]
    moved = session.execute(
        update(Order)
        .where(Order.id == order_id, Order.status == old)
        .values({"status": new, AT[new]: now, "updated_at": now, **columns})
        .returning(Order.id)
        .execution_options(synchronize_session=False)
    )
    if moved.first() is None:
        return False
    note_event(session, order_id, old, new, now, actor=actor, actor_id=actor_id, reason=reason)
    return True


def note_event(
    session: Session,
    order_id: UUID,
    old: OrderStatus | None,
    new: OrderStatus,
    now: datetime,
    *,
    actor: Actor,
    actor_id: UUID | None = None,
    reason: str | None = None,
) -> None:
    """What `GET …/events` shows."""
    session.add(
        OrderEvent(
            order_id=order_id,
            from_status=old,
            to_status=new,
            actor=actor,
            actor_id=actor_id,
            reason=reason,
            at=now,
        )
    )
