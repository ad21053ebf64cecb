"""Batches: an item that fails is written down and passed over, never the end of the run for everybody behind it."""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import structlog
from sqlalchemy import ColumnElement, Select, SQLColumnExpression, Text, and_, cast, delete, exists, func, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, aliased

from database import reading, transaction
from database.batch_models import PassedOverItem

Item = TypeVar("Item")
Deletion = Callable[[Session, ColumnElement[bool]], int]
"""Deletes the rows of a table for which a condition holds, and returns how many."""

LEFT_ALONE = timedelta(hours=6)
"""A failed item is not looked at again for so long. Otherwise enough of them would fill the portion of every run."""
PORTION = 5_000
"""Rows of one statement, which stays far below the statement timeout."""
MOST_PORTIONS = 200


def work_through(
    batch: str,
    items: Iterable[Item],
    work: Callable[[Item], int],
    *,
    key: Callable[[Item], object] = str,
    unless: type[Exception] | tuple[type[Exception], ...] = (),
) -> int:
    """Do `work` for each item and return the sum of what it gave. One that raises is logged, counted and passed over.

    `key` names the item for the operator: an id, never a name or an address. An error of the kind `unless` says that the
    next item would fail as well (the provider cannot be reached) and ends the batch. So does a database that is away: what
    cannot be written down is raised. Call it outside of any transaction; `work` opens its own.
    """
    done = 0
    for item in items:
        try:
            done += _done(work, item)
        except unless:
            raise
        except Exception as error:
            _note(batch, str(key(item)), type(error).__name__)
            structlog.get_logger().error(
                "item_passed_over", batch=batch, item=str(key(item)), reason=type(error).__name__, exc_info=error
            )
    return done


def _done(work: Callable[[Item], int], item: Item) -> int:
    """Once more when the connection was lost: PostgreSQL may have been restarted since it was last used."""
    try:
        return work(item)
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        return work(item)


def not_passed_over(batch: str, *key: SQLColumnExpression[Any]) -> ColumnElement[bool]:
    """A condition for the query of a batch that takes a portion a run: leaves out what failed lately.

    `key` are the columns whose texts, joined by "/", name the item to `work_through`.
    """
    failed = aliased(PassedOverItem)
    lately = failed.last_at > func.clock_timestamp() - LEFT_ALONE
    return ~exists().where(failed.batch == batch, failed.item == _name_of(key), lately)


def purge(batch: str, over: Select[*tuple[Any, ...]], deletion: Deletion | None = None) -> int:
    """Delete the rows whose primary keys `over` selects, and return how many. One that cannot be deleted holds up no other.
    `deletion` does it, by its condition, where more than that has to be done in the same transaction.

    Portion after portion until nothing is left, so that no inflow outgrows it. A run ends after a million rows.
    """
    over = over.where(not_passed_over(batch, *over.selected_columns)).limit(PORTION)
    purged = 0
    for _ in range(MOST_PORTIONS):
        portion = _purge_portion(batch, over, deletion or _deletion_of(over))
        purged += portion
        if portion < PORTION:
            break
    return purged


def _deletion_of(over: Select[*tuple[Any, ...]]) -> Deletion:
    (table,) = over.get_final_froms()

    def deletion(session: Session, condition: ColumnElement[bool]) -> int:
        rows = session.execute(delete(table).where(condition))  # type: ignore[arg-type]
        return int(rows.rowcount)  # type: ignore[attr-defined]

    return deletion


def _purge_portion(batch: str, over: Select[*tuple[Any, ...]], deletion: Deletion) -> int:
    columns = tuple(over.selected_columns)

    def delete_one(row: tuple[Any, ...]) -> int:
        same = and_(*(column == value for column, value in zip(columns, row, strict=False)))
        with transaction() as session:
            return deletion(session, same)

    try:
        with transaction() as session:
            return deletion(session, tuple_(*columns).in_(over))
    except DBAPIError:
        with reading() as session:
            rows = [tuple(row) for row in session.execute(over.add_columns(_name_of(columns)))]
        return work_through(batch, rows, delete_one, key=lambda row: row[-1])


def _name_of(key: Sequence[SQLColumnExpression[Any]]) -> ColumnElement[str]:
    return func.concat_ws("/", *(cast(column, Text) for column in key))


def _note(batch: str, item: str, reason: str) -> None:
    now = func.clock_timestamp()
    with transaction() as session:
        session.execute(
            insert(PassedOverItem)
            .values(batch=batch, item=item, reason=reason, times=1, first_at=now, last_at=now)
            .on_conflict_do_update(
                index_elements=[PassedOverItem.batch, PassedOverItem.item],
                set_={"times": PassedOverItem.times + 1, "reason": reason, "last_at": now},
            )
        )
