"""Writing shared items: all of them, or none when another device was faster."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from auth.account_change import hold_account
from capabilities.terminal.models import SyncHead, SyncItem
from capabilities.terminal.sync.bodies import NewSyncItem, item_answer, never_was
from capabilities.terminal.sync.problems import SyncConflict, TooManySyncItems
from database import transaction
from database.notify import notify
from security.edge.problems import ValidationFailed, field_error

MOST_ITEMS: Final = 2_000
"""Of one user, with those that were deleted: these stay too, because a device may come back after years."""
SYNC_CHANGED: Final = "terminal_sync_changed"
"""Channel of NOTIFY. The payload is a user's id and latest revision, with a blank between them."""
VALUE_LENGTH: Final = "ck_sync_items_value_length"


def put_items(user_id: UUID, items: Sequence[NewSyncItem], now: datetime) -> int:
    """Returns the revision of the last one. Raises SyncConflict, TooManySyncItems and ValidationFailed."""
    try:
        with transaction() as session:
            hold_account(session, user_id)
            revision = _raise_head(session, user_id, len(items))
            _judge(session, user_id, items)
            _write(session, user_id, items, revision, now)
            notify(session, SYNC_CHANGED, f"{user_id} {revision}")
            return revision
    except IntegrityError as error:
        if error.orig.diag.constraint_name != VALUE_LENGTH:  # type: ignore[union-attr]
            raise
        message = "A value is too long once its numbers are written out"
        raise ValidationFailed([field_error(["items"], "too_long", message)]) from None


def _raise_head(session: Session, user_id: UUID, by: int) -> int:
    """Locks it until the commit, so revisions are committed in their order, and whoever has read one has missed none before it."""
    first = insert(SyncHead).values(user_id=user_id, revision=by)
    raised = first.on_conflict_do_update(index_elements=["user_id"], set_={"revision": SyncHead.revision + by})
    return session.scalars(raised.returning(SyncHead.revision)).one()


def _judge(session: Session, user_id: UUID, items: Sequence[NewSyncItem]) -> None:
    mine = select(SyncItem).where(SyncItem.user_id == user_id)
    these = mine.where(tuple_(SyncItem.kind, SyncItem.key).in_([(item.kind, item.key) for item in items]))
    present = {(row.kind, row.key): item_answer(row) for row in session.scalars(these)}
    now_there = [(item, present.get((item.kind, item.key), never_was(item))) for item in items]
    conflicts = [there for item, there in now_there if there.revision != item.base_revision]
    if conflicts:
        raise SyncConflict(conflicts)
    if len(present) < len(items):
        count = session.scalars(select(func.count()).where(SyncItem.user_id == user_id)).one()
        if count + len(items) - len(present) > MOST_ITEMS:
            raise TooManySyncItems


def _write(session: Session, user_id: UUID, items: Sequence[NewSyncItem], last: int, now: datetime) -> None:
    rows = [
        {
            "user_id": user_id,
            "kind": item.kind,
            "key": item.key,
            "value": item.value,
            "revision": revision,
            "deleted": item.value is None,
            "updated_at": now,
        }
        for revision, item in enumerate(items, last - len(items) + 1)
    ]
    written = insert(SyncItem).values(rows)
    changed = {name: written.excluded[name] for name in ("value", "revision", "deleted", "updated_at")}
    session.execute(written.on_conflict_do_update(index_elements=["user_id", "kind", "key"], set_=changed))
