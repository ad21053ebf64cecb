"""Counting what an operator should know of."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from database import reading, transaction
from payments.models import BillingCount

HOUR = timedelta(hours=1)


def count(session: Session, name: str, now: datetime, *, by: int = 1) -> None:
    """Last in its transaction, because the row is shared by everybody who counts the same."""
    first = insert(BillingCount).values(name=name, count=by, last_at=now)
    session.execute(
        first.on_conflict_do_update(
            index_elements=[BillingCount.name], set_={"count": BillingCount.count + by, "last_at": now}
        )
    )


def count_hourly(name: str, now: datetime) -> bool:
    """For what is the same with every event for as long as it lasts: it is counted once an hour, and True is returned.

    In a transaction of its own. Otherwise all workers would wait in turn for the one row.
    """
    with reading() as session:
        last_at = session.execute(select(BillingCount.last_at).where(BillingCount.name == name)).scalar_one_or_none()
    if last_at is not None and last_at > now - HOUR:
        return False
    with transaction() as session:
        count(session, name, now)
    return True
