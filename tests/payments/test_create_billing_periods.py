"""flask create-billing-periods, and the job that does the same."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from database import transaction
from payments.billing.close_account import bill_last_period
from payments.billing.jobs import billing_jobs
from payments.billing.months import period_id
from tests.payments.statements import FEBRUARY, IN_FEBRUARY, IN_MARCH, MARCH, Statements


def test_a_month_becomes_one_statement_for_each_user_who_was_charged(statements: Statements) -> None:
    alice, bob, _idle = (statements.stripe.user(name) for name in ("alice", "bob", "carol"))
    statements.charge(alice, 100, times=3)
    statements.charge(alice, 100, IN_MARCH)
    statements.charge(bob, 50)

    answer = statements.cli("create-billing-periods")

    assert (answer.exit_code, answer.output) == (0, "2 statements of 2026-02 created.\n")
    made = {(row.user_id, row.period, row.state, row.requests, row.amount_cents) for row in statements.rows()}
    assert made == {(alice, FEBRUARY, "due", 3, 300), (bob, FEBRUARY, "due", 1, 50)}
    row, _ = statements.rows()
    assert (row.id, row.due_at - row.closed_at) == (period_id(row.user_id, FEBRUARY), statements.rules.due)


def test_running_it_again_changes_nothing(statements: Statements) -> None:
    statements.charge(statements.stripe.user(), 100)
    assert [statements.close(), statements.close()] == [1, 0]
    before = statements.rows()

    assert statements.cli("create-billing-periods").output == "0 statements of 2026-02 created.\n"
    assert statements.rows() == before
    assert len(statements.emails()) == 1


def test_in_parallel_it_makes_one_statement_for_each_user(statements: Statements) -> None:
    users = [statements.stripe.user(f"user{number}") for number in range(12)]
    for user in users:
        statements.charge(user, 100, times=2)

    with ThreadPoolExecutor(4) as side_by_side:
        made = list(side_by_side.map(lambda _: statements.close(), range(4)))

    assert sum(made) == len(users)
    assert [(row.requests, row.amount_cents) for row in statements.rows()] == [(2, 200)] * len(users)
    assert statements.stripe.query("SELECT 1 FROM passed_over_items") == []
    assert len(statements.emails()) == len(users)


def test_what_is_settled_late_stands_in_the_next_statement(statements: Statements) -> None:
    user = statements.stripe.user()
    statements.charge(user, 100)
    statements.close()
    statements.charge(user, 70, date(2026, 2, 28))
    assert statements.close() == 0
    statements.stripe.server.advance(timedelta(days=22))
    statements.close(MARCH)

    assert [(row.period, row.amount_cents) for row in statements.rows()] == [(FEBRUARY, 100), (MARCH, 70)]


def test_the_sum_is_rounded_once_and_half_up(statements: Statements) -> None:
    user = statements.stripe.user()
    statements.charge(user, 0.25, times=10)
    statements.close()

    (row,) = statements.rows()
    assert (row.charges_micros, row.amount_cents) == (25_000, 3)


def test_nothing_to_pay_is_paid_by_itself(statements: Statements) -> None:
    statements.charge(statements.stripe.user(), 0.49)
    statements.close()

    (row,) = statements.rows()
    assert (row.state, row.amount_cents, row.due_at, row.paid_at) == ("paid", 0, None, row.closed_at)
    assert statements.emails() == []


def test_a_month_that_runs_is_not_closed(statements: Statements) -> None:
    statements.charge(statements.stripe.user(), 100, IN_MARCH)

    answer = statements.cli("create-billing-periods", "--month", MARCH)
    assert answer.exit_code == 2
    assert "this month is not over" in answer.output
    assert statements.rows() == []


@pytest.mark.parametrize("month", ["2026-13", "2026-1", "26-01", "2026-01-01", ""])
def test_what_is_not_a_month_is_refused(statements: Statements, month: str) -> None:
    answer = statements.cli("create-billing-periods", "--month", month)
    assert answer.exit_code == 2
    assert "Enter a month as YYYY-MM" in answer.output


def test_the_user_is_told_what_to_pay_until_when_and_where(statements: Statements) -> None:
    statements.due(statements.stripe.user(), 123_456)

    (email,) = statements.emails()
    assert (email["template"], email["to"]) == ("billing_statement", "alice@example.com")
    assert email["values"] == {
        "month": "February 2026",
        "amount": "1,234.56 USD",
        "requests": 1,
        "due": "24 March 2026",
        "pay_url": "https://api.example.com/portal",
    }
    written = statements.rules.mailer.write(
        "id", email["template"], email["to"], email["values"], statements.rules.clock()
    )
    assert written["Subject"] == "Your statement for February 2026: 1,234.56 USD"


def test_one_that_cannot_be_made_holds_up_no_other(statements: Statements) -> None:
    alice, bob, carol = (statements.stripe.user(name) for name in ("alice", "bob", "carol"))
    for user in (alice, bob, carol):
        statements.charge(user, 100)
    statements.stripe.query(
        "INSERT INTO billing_credits (id, user_id, cents, given_by, created_at) VALUES"
        " (gen_random_uuid(), :bob, 9223372036854775807, 'x', now()), (gen_random_uuid(), :bob, 1000, 'x', now())",
        bob=bob,
    )

    assert statements.close() == 2

    assert {row.user_id for row in statements.rows()} == {alice, carol}
    passed_over = statements.stripe.query("SELECT batch, item FROM passed_over_items")
    assert [tuple(row) for row in passed_over] == [("create_billing_periods", str(bob))]


def test_a_charge_stands_in_one_statement_and_is_never_changed(statements: Statements) -> None:
    statements.due(statements.stripe.user())
    for change in ("statement_id = NULL", "statement_id = gen_random_uuid()", "price_micros = 1", "feature = 'x'"):
        with pytest.raises(IntegrityError, match="rows of charges are never changed"):
            statements.stripe.query(f"UPDATE charges SET {change}")
    statements.charge(statements.stripe.user("bob"), 100, IN_FEBRUARY)
    with pytest.raises(IntegrityError, match="rows of charges are never changed"):
        statements.stripe.query(
            "UPDATE charges SET statement_id = gen_random_uuid(), price_micros = 1 WHERE statement_id IS NULL"
        )
    for statement in ("DELETE FROM charges", "TRUNCATE charges"):
        with pytest.raises(IntegrityError, match="rows of charges are never changed"):
            statements.stripe.query(statement)


def test_closing_an_account_closes_its_month(statements: Statements) -> None:
    user = statements.stripe.user()
    statements.charge(user, 100, IN_MARCH)
    with statements.stripe.app.app_context(), transaction() as session:
        bill_last_period(session, user, statements.rules.clock())

    (job,) = statements.stripe.query("SELECT args FROM procrastinate_jobs WHERE task_name = 'close_billing_period'")
    run = {each.name: each.run for each in billing_jobs(statements.rules)}["close_billing_period"]
    with statements.stripe.app.app_context():
        assert [run(**job.args), run(**job.args)] == [1, 0]
    (row,) = statements.rows()
    assert (row.period, row.amount_cents, row.state) == (MARCH, 100, "due")


def test_an_account_that_owes_nothing_has_no_last_month(statements: Statements) -> None:
    user = statements.stripe.user()
    statements.due(user)
    with statements.stripe.app.app_context(), transaction() as session:
        bill_last_period(session, user, statements.rules.clock())
    assert statements.stripe.query("SELECT 1 FROM procrastinate_jobs WHERE task_name = 'close_billing_period'") == []
