"""Counting what an operator should know of."""

from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from payments.models import BillingCount


def count(session: Session, name: str, now: datetime, *, by: int = 1) -> None:
    """Last in its transaction, because the row is shared by everybody who counts the same."""
    first = insert(BillingCount).values(name=name, count=by, last_at=now)
    session.execute(
        first.on_conflict_do_update(
            index_elements=[BillingCount.name], set_={"count": BillingCount.count + by, "last_at": now}
        )
    )
