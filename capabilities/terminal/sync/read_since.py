"""What changed since a revision."""

from typing import Final
from uuid import UUID

from sqlalchemy import Text, cast, func, select

from capabilities.terminal.models import SyncHead, SyncItem
from capabilities.terminal.sync.bodies import SyncAnswer, SyncQuery, item_answer
from database import reading

MOST_ITEMS: Final = 100
MOST_BYTES: Final = 2**20
"""Of the values before the last one, so there is always one."""


def read_since(user_id: UUID, wanted: SyncQuery) -> SyncAnswer:
    with reading() as session:
        # First, and nothing beyond it: an item that changes from here on has a higher revision and is told next time.
        head = session.scalars(select(SyncHead.revision).where(SyncHead.user_id == user_id)).one_or_none() or 0
        new = select(SyncItem.revision, func.octet_length(cast(SyncItem.value, Text)).label("bytes")).where(
            SyncItem.user_id == user_id, SyncItem.revision > wanted.since, SyncItem.revision <= head
        )
        if wanted.kinds:
            new = new.where(SyncItem.kind.in_(wanted.kinds))
        some = new.order_by(SyncItem.revision).limit(MOST_ITEMS + 1).cte()
        so_far = func.sum(some.c.bytes).over(order_by=some.c.revision, rows=(None, -1))
        sized = select(some.c.revision, func.coalesce(so_far, 0).label("before")).subquery()
        fitting = (
            select(sized.c.revision).where(sized.c.before < MOST_BYTES).order_by(sized.c.revision).limit(MOST_ITEMS)
        )
        # One statement for both: items that change in between would be neither on the page nor said to come.
        count = select(func.count()).select_from(some).scalar_subquery()
        page = select(SyncItem, count).where(SyncItem.user_id == user_id, SyncItem.revision.in_(fitting))
        found = session.execute(page.order_by(SyncItem.revision)).all()
        items = [item_answer(row) for row, _ in found]
    more = any(listed > len(items) for _, listed in found)
    return SyncAnswer(revision=items[-1].revision if more else head, items=items, more=more)
