"""One bad item among good ones: the others are done, and the operator can see which it was."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select, text
from structlog.testing import capture_logs

from database import db, reading, transaction
from database.batch import purge, work_through
from database.batch_models import PassedOverItem
from tests.bare_app import bare_app
from tests.databases import ask

END_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    app = bare_app(database_url)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def passed_over() -> list[tuple[str, str, str, int]]:
    with reading() as session:
        rows = session.scalars(select(PassedOverItem).order_by(PassedOverItem.batch, PassedOverItem.item))
        return [(row.batch, row.item, row.reason, row.times) for row in rows]


def test_an_item_that_fails_is_noted_and_the_others_are_done(app: Flask) -> None:
    done: list[int] = []

    def work(item: int) -> int:
        if item == 1:
            raise ZeroDivisionError
        done.append(item)
        return 10

    with capture_logs() as logs:
        assert work_through("count_up", [1, 2, 3], work) == 20

    assert done == [2, 3]
    assert passed_over() == [("count_up", "1", "ZeroDivisionError", 1)]
    assert [(line["event"], line["batch"], line["item"]) for line in logs] == [("item_passed_over", "count_up", "1")]


def test_an_item_that_fails_again_is_counted(app: Flask) -> None:
    def work(_item: int) -> int:
        raise ZeroDivisionError

    work_through("count_up", [7], work)
    work_through("count_up", [7], work)

    assert passed_over() == [("count_up", "7", "ZeroDivisionError", 2)]


def test_what_would_fail_for_every_item_ends_the_batch(app: Flask) -> None:
    def work(_item: int) -> int:
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        work_through("count_up", [1, 2], work, unless=(ConnectionError,))

    assert passed_over() == []


def test_an_item_whose_connection_was_lost_is_tried_once_more(app: Flask, database_url: str) -> None:
    """PostgreSQL was restarted, which says nothing against the item."""

    def work(item: int) -> int:
        with transaction() as session:
            return int(session.scalars(text("SELECT 10")).one())

    assert work_through("count_up", [1], work) == 10
    ask(database_url, END_OTHERS)
    assert work_through("count_up", [2, 3], work) == 20
    assert passed_over() == []


def test_an_item_that_ends_its_connection_is_passed_over(app: Flask) -> None:
    def work(item: int) -> int:
        with transaction() as session:
            if item == 1:
                session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return 10

    assert work_through("count_up", [1, 2], work) == 10
    assert passed_over() == [("count_up", "1", "OperationalError", 1)]


def test_a_failed_transaction_of_one_item_leaves_the_next_one_a_clean_session(app: Flask) -> None:
    def work(item: int) -> int:
        with transaction() as session:
            return int(session.execute(text(f"SELECT 4 / {item}")).scalar_one())

    assert work_through("divide", [0, 2], work) == 2
    assert passed_over() == [("divide", "0", "DataError", 1)]


def items_noted(*names: str, at: datetime) -> None:
    with transaction() as session:
        for name in names:
            session.add(PassedOverItem(batch="old", item=name, reason="-", times=1, first_at=at, last_at=at))


def test_a_purge_deletes_what_is_over_and_nothing_else(app: Flask) -> None:
    now = datetime.now(UTC)
    items_noted("a", "b", at=now - timedelta(days=2))
    items_noted("c", at=now)

    over = select(PassedOverItem.batch, PassedOverItem.item).where(PassedOverItem.last_at < now - timedelta(days=1))

    assert purge("forget", over.limit(100)) == 2
    assert passed_over() == [("old", "c", "-", 1)]


def test_a_row_that_cannot_be_deleted_holds_up_no_other(app: Flask, poison: None) -> None:
    items_noted("a", "poisoned", "z", at=datetime.now(UTC))

    over = select(PassedOverItem.batch, PassedOverItem.item).order_by(PassedOverItem.item).limit(100)

    assert purge("forget", over) == 2
    assert passed_over() == [("forget", "old/poisoned", "InternalError", 1), ("old", "poisoned", "-", 1)]


@pytest.fixture
def poison(app: Flask) -> None:
    """Deleting the item named so fails, as an unexpected foreign key would make it."""
    with transaction() as session:
        session.execute(text("""
            CREATE FUNCTION refuse_poisoned() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF OLD.item = 'poisoned' THEN RAISE EXCEPTION 'poisoned'; END IF;
                RETURN OLD;
            END $$
        """))
        session.execute(text("""
            CREATE TRIGGER refuse_poisoned BEFORE DELETE ON passed_over_items
            FOR EACH ROW EXECUTE FUNCTION refuse_poisoned()
        """))
