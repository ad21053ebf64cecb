"""The e-mail that tells a buyer of a refund."""

from sqlalchemy.orm import Session

from auth.models import User
from capabilities.shop.models import Order, Refund
from capabilities.shop.money import written
from capabilities.shop.rules import ShopRules


def tell_of_refund(rules: ShopRules, session: Session, order: Order, refund: Refund) -> None:
    """Nobody, when the account is gone."""
    buyer = None if order.user_id is None else session.get(User, order.user_id)
    if buyer is not None:
        rules.mailer.enqueue(
            session,
            "order_refunded",
            buyer.email,
            number=order.number,
            amount=f"{written(refund.amount_minor, order.currency)} {order.currency.upper()}",
            order_url=None if rules.order_url is None else f"{rules.order_url}?order={order.number}",
        )
