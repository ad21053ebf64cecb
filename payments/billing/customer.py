"""Who a user is to the payment providers."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from payments.models import BillingCustomer


def billing_customer(session: Session, user_id: UUID, now: datetime) -> BillingCustomer:
    """The user's row, made when there is none. Its Apple token is random, because an id of ours would tell who bought."""
    session.execute(
        insert(BillingCustomer)
        .values(user_id=user_id, apple_account_token=uuid4(), created_at=now)
        .on_conflict_do_nothing(index_elements=[BillingCustomer.user_id])
    )
    return session.scalars(select(BillingCustomer).where(BillingCustomer.user_id == user_id)).one()
