"""Items: purchases that have a price, and where it is limited a stock, and that is all."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from database import reading
from metering.purchase import KnownRefund, Price, Purchase
from payments.models import Item
from security.edge.problems import NotFound

ITEM = "item"


class Items:
    """See `Purchases`."""

    kind = ITEM

    def price(self, session: Session, user_id: UUID, purchase: Purchase) -> Price:
        item = session.scalars(select(Item).where(Item.id == purchase.id, Item.is_active)).one_or_none()
        if item is None:
            raise NotFound
        return Price(item.amount * purchase.quantity, item.currency)

    def refuse_late(self, session: Session, purchase: Purchase) -> None:
        """It is set aside for as long as its payment is open."""

    def reserve(self, session: Session, purchase: Purchase) -> bool:
        """One statement decides: of two buyers of the last one, the second finds none."""
        taken = session.execute(
            update(Item)
            .where(Item.id == purchase.id, (Item.stock.is_(None)) | (Item.stock >= purchase.quantity))
            .values(stock=Item.stock - purchase.quantity)
            .returning(Item.id)
            .execution_options(synchronize_session=False)
        )
        return taken.first() is not None

    def release(self, session: Session, purchase: Purchase) -> None:
        session.execute(
            update(Item)
            .where(Item.id == purchase.id, Item.stock.is_not(None))
            .values(stock=Item.stock + purchase.quantity)
            .execution_options(synchronize_session=False)
        )

    def paid(self, session: Session, purchase: Purchase, now: datetime) -> None:
        """`payments.fulfilled_at` says it."""

    def given_back(self, session: Session, purchase: Purchase, now: datetime) -> None:
        """It was handed over, so the stock does not change."""

    def refunded(self, session: Session, purchase: Purchase, refunds: Sequence[KnownRefund], now: datetime) -> None:
        """`payments.refunded_amount` says it."""


def item_purchase(code: str, quantity: int) -> Purchase:
    """Raises NotFound."""
    with reading() as session:
        item_id = session.execute(select(Item.id).where(Item.code == code)).scalar_one_or_none()
    if item_id is None:
        raise NotFound
    return Purchase(ITEM, item_id, quantity)


def item_code(session: Session, purchase: Purchase) -> str | None:
    """None for a purchase of another kind."""
    if purchase.kind != ITEM:
        return None
    return session.execute(select(Item.code).where(Item.id == purchase.id)).scalar_one()
