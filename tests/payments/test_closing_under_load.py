"""A month is closed again and again while calls of it and of the next are settled, as at midnight."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest

from tests.payments.metered_account import settled, settlement
from tests.payments.statements import FEBRUARY, MARCH, Statements

LAST_DAY, FIRST_DAY = date(2026, 2, 28), date(2026, 3, 1)
USERS, CALLS, CLOSERS = 5, 160, 3


@pytest.mark.parametrize("calls", [CALLS, pytest.param(20 * CALLS, marks=pytest.mark.slow)])
def test_nothing_is_lost_and_nothing_is_billed_twice(statements: Statements, database_url: str, calls: int) -> None:
    users = [statements.stripe.user(f"user{number}") for number in range(USERS)]
    over = threading.Event()

    def close_until_over(_: int) -> int:
        made = 0
        while not over.is_set():
            made += statements.close()
        return made

    with settlement(database_url) as settling, ThreadPoolExecutor(CLOSERS + 8) as side_by_side:

        def settle(number: int) -> None:
            day = LAST_DAY if number % 3 else FIRST_DAY
            settling.count(settled(users[number % USERS], 1 + number % 7, day))

        closing = side_by_side.map(close_until_over, range(CLOSERS))
        try:
            list(side_by_side.map(settle, range(calls)))
        finally:
            over.set()
        assert sum(closing) + statements.close() == USERS
    statements.stripe.server.advance(timedelta(days=22))
    assert statements.close(MARCH) == USERS

    assert sorted((row.period, row.user_id) for row in statements.rows()) == sorted(
        (month, user) for month in (FEBRUARY, MARCH) for user in users
    )
    for row in statements.rows():
        lines = statements.stripe.query(
            "SELECT count(*), sum(price_micros)::bigint, max(window_date) FROM charges WHERE statement_id = :id",
            id=row.id,
        )
        assert tuple(lines[0])[:2] == (row.requests, row.charges_micros)
        assert row.amount_cents * 10_000 == row.charges_micros
        assert row.period == MARCH or lines[0][2] == LAST_DAY
    whole = statements.stripe.query("SELECT count(*), count(statement_id) FROM charges")[0]
    assert tuple(whole) == (calls, calls)
    assert sum(row.amount_cents for row in statements.rows()) == sum(1 + number % 7 for number in range(calls))
    assert statements.stripe.query("SELECT 1 FROM passed_over_items") == []
