"""flask billing-periods list, mark-paid, waive and credit."""

from uuid import uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from database import transaction
from payments.billing.close_account import forget_reasons
from payments.billing.give_credit import credit_statement
from security.edge.problems import NotFound
from tests.payments.statements import IN_MARCH, Statements


def test_the_list_shows_statements_and_can_be_narrowed(statements: Statements) -> None:
    period = statements.due(statements.stripe.user())
    other = statements.stripe.user("bob")
    statements.charge(other, 100, IN_MARCH)

    line = statements.cli("billing-periods", "list").output
    assert line.startswith(f"{period}  2026-02  ")
    assert line.endswith("  due  1 requests  3.00 USD  due 2026-03-24\n")
    for narrowed in (("--user", "alice@example.com"), ("--state", "due"), ("--month", "2026-02")):
        assert statements.cli("billing-periods", "list", *narrowed).output == line
    for narrowed in (("--user", "bob@example.com"), ("--state", "paid"), ("--month", "2026-01")):
        assert statements.cli("billing-periods", "list", *narrowed).output == ""


@pytest.mark.parametrize(
    ("command", "state", "event"),
    [("mark-paid", "paid", "billing_period_marked_paid"), ("waive", "waived", "billing_period_waived")],
)
def test_a_person_settles_a_statement_once(statements: Statements, command: str, state: str, event: str) -> None:
    period = statements.due(statements.stripe.user())

    first = statements.said("billing-periods", command, str(period), "--reason", "bank transfer")
    again = statements.said("billing-periods", command, str(period))

    assert (first, again) == (f"Statement {period} is {state}.", f"Statement {period} is {state} already.")
    assert statements.state(period) == state
    detail = {"by": "operator", "reason": "bank transfer", "period": "2026-02", "amount_cents": 300}
    assert statements.audited() == [(event, detail)]


@pytest.mark.parametrize(("first", "second"), [("waive", "mark-paid"), ("mark-paid", "waive")])
def test_what_is_settled_is_not_settled_in_another_way(statements: Statements, first: str, second: str) -> None:
    period = str(statements.due(statements.stripe.user()))
    statements.cli("billing-periods", first, period)
    answer = statements.cli("billing-periods", second, period)
    assert (answer.exit_code, answer.output) == (
        1,
        "Error: This statement does not have to be paid any more.\n",
    )


@pytest.mark.parametrize("command", ["mark-paid", "waive"])
def test_a_statement_that_is_not_there(statements: Statements, command: str) -> None:
    answer = statements.cli("billing-periods", command, str(uuid4()))
    assert (answer.exit_code, answer.output) == (1, "Error: Not found.\n")


def credited(statements: Statements, cents: int, reason: str = "A wrong answer") -> str:
    return statements.said("billing-periods", "credit", "alice@example.com", "--cents", str(cents), "--reason", reason)


def test_a_credit_stands_in_the_next_statement(statements: Statements) -> None:
    user = statements.stripe.user()
    statements.charge(user, 300)

    assert credited(statements, 120).startswith("1.20 USD credited to alice@example.com. ID: ")
    assert credited(statements, 120).startswith("This credit was given already. ID: ")
    statements.close()

    (row,) = statements.rows()
    assert (row.credits_cents, row.amount_cents) == (120, 180)
    (credit,) = statements.credits()
    assert (credit.statement_id, credit.given_by) == (row.id, "operator")
    detail = {"by": "operator", "cents": 120, "reason": "A wrong answer"}
    assert statements.audited() == [("billing_credit_given", detail)]
    credited(statements, 120)  # the first one stands in a statement, so this is another
    assert len(statements.credits()) == 2


def test_what_is_left_of_a_credit_is_carried_over(statements: Statements) -> None:
    user = statements.stripe.user()
    statements.charge(user, 300)
    credited(statements, 500)
    statements.close()
    (row,) = statements.rows()
    assert (row.state, row.credits_cents, row.amount_cents) == ("paid", 300, 0)
    _, left = statements.credits()
    assert (left.cents, left.reason, left.carried_from, left.statement_id) == (
        200,
        "Left over from 2026-02",
        row.id,
        None,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--cents", "0", "--reason", "x"),
        ("--cents", "-1", "--reason", "x"),
        ("--cents", "1.5", "--reason", "x"),
        ("--cents", "100000000", "--reason", "x"),
        ("--cents", "1", "--reason", " "),
        ("--cents", "1", "--reason", "x" * 501),
        ("--cents", "1", "--reason", "a\nb"),
        ("--cents", "1"),
    ],
)
def test_a_credit_that_is_refused(statements: Statements, arguments: tuple[str, ...]) -> None:
    statements.stripe.user()
    assert statements.cli("billing-periods", "credit", "alice@example.com", *arguments).exit_code == 2
    assert statements.credits() == []


def test_nobody_to_credit(statements: Statements) -> None:
    answer = statements.cli("billing-periods", "credit", "bob@example.com", "--cents", "1", "--reason", "x")
    assert (answer.exit_code, answer.output) == (1, "Error: No account uses this e-mail address.\n")
    with statements.stripe.app.app_context(), pytest.raises(NotFound):
        credit_statement(statements.rules, uuid4(), 1, "x")


def test_staff_credit_the_user_of_a_statement(statements: Statements) -> None:
    user, staff = statements.stripe.user(), uuid4()
    period = statements.due(user)
    with statements.stripe.app.app_context():
        given = credit_statement(statements.rules, period, 50, "Sorry", by=staff)
    assert (given.user_id, given.is_new) == (user, True)
    (credit,) = statements.credits()
    assert (credit.user_id, credit.cents, credit.given_by) == (user, 50, str(staff))


def test_a_credit_is_never_changed_but_its_reason_goes_with_the_account(statements: Statements) -> None:
    user = statements.stripe.user()
    credited(statements, 120)
    credited(statements, 120, "Another reason")
    for statement in (
        "UPDATE billing_credits SET cents = 1",
        "UPDATE billing_credits SET reason = 'x'",
        "UPDATE billing_credits SET reason = NULL, cents = 1",
        "DELETE FROM billing_credits",
    ):
        with pytest.raises(IntegrityError, match="rows of billing_credits are never changed"):
            statements.stripe.query(statement)

    with statements.stripe.app.app_context(), transaction() as session:
        assert [forget_reasons(session, user), forget_reasons(session, user)] == [2, 0]
    assert [(row.cents, row.reason) for row in statements.credits()] == [(120, None), (120, None)]
