"""`transaction` is the only commit, so it does not nest."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from database import NestedTransaction, db, reading, transaction
from tests.bare_app import bare_app

Block = Callable[[], AbstractContextManager[Session]]


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    app = bare_app(database_url)
    with app.app_context():
        with transaction() as session:
            session.execute(text("CREATE TABLE numbers (number integer)"))
        yield app
        db.engine.dispose()


def numbers() -> list[int]:
    with reading() as session:
        return list(session.scalars(text("SELECT number FROM numbers")))


@pytest.mark.parametrize("inner", [transaction, reading])
@pytest.mark.parametrize("has_written", [True, False])
def test_a_block_inside_a_transaction_is_refused_and_nothing_is_committed(
    app: Flask, inner: Block, has_written: bool
) -> None:
    def nest() -> None:
        with transaction() as session:
            if has_written:
                session.execute(text("INSERT INTO numbers VALUES (1)"))
            with inner():
                raise AssertionError("it was let in")

    with pytest.raises(NestedTransaction):
        nest()
    assert numbers() == []


@pytest.mark.parametrize("inner", [transaction, reading])
def test_a_block_inside_a_reading_one_is_refused(app: Flask, inner: Block) -> None:
    with reading(), pytest.raises(NestedTransaction), inner():
        raise AssertionError("it was let in")


def test_the_outer_transaction_can_go_on_after_the_refusal(app: Flask) -> None:
    with transaction() as session:
        session.execute(text("INSERT INTO numbers VALUES (1)"))
        with pytest.raises(NestedTransaction), transaction():
            pass
        session.execute(text("INSERT INTO numbers VALUES (2)"))
    assert numbers() == [1, 2]


def test_blocks_one_after_the_other_are_transactions_of_their_own(app: Flask) -> None:
    with pytest.raises(ZeroDivisionError), transaction() as session:
        session.execute(text("INSERT INTO numbers VALUES (1)"))
        raise ZeroDivisionError
    with transaction() as session:
        session.execute(text("INSERT INTO numbers VALUES (2)"))
    assert numbers() == [2]
