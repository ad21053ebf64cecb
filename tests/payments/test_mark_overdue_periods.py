"""flask mark-overdue-periods, and the job that does the same."""

from datetime import timedelta

import pytest

from tests.payments.statements import Statements
from tests.payments.stripe_app import MakeStripe

FORTNIGHT = timedelta(days=14)


def test_a_statement_is_overdue_when_its_time_is_over(statements: Statements) -> None:
    period = statements.due(statements.stripe.user())
    statements.stripe.server.advance(FORTNIGHT - timedelta(seconds=1))
    assert statements.cli("mark-overdue-periods").output == "0 statements are overdue now.\n"
    assert statements.state(period) == "due"

    statements.stripe.server.advance(timedelta(seconds=1))
    assert statements.cli("mark-overdue-periods").output == "1 statements are overdue now.\n"
    assert statements.state(period) == "overdue"
    assert statements.mark_overdue() == 0
    assert [email["template"] for email in statements.emails()] == ["billing_statement", "billing_overdue"]


@pytest.mark.parametrize("blocks", [True, False])
def test_the_user_is_told_what_that_means(make_stripe: MakeStripe, blocks: bool) -> None:
    statements = Statements(make_stripe(periods={"overdue_blocks": blocks}))
    statements.due(statements.stripe.user())
    statements.stripe.server.advance(FORTNIGHT)
    statements.mark_overdue()

    email = statements.emails()[-1]
    message = statements.rules.mailer.write(
        "id", email["template"], email["to"], email["values"], statements.rules.clock()
    )
    assert message["Subject"] == "Your statement for February 2026 is overdue"
    body = message.get_body(("plain",))
    assert body is not None
    text = str(body.get_content())
    assert "3.00 USD is open" in text
    assert ("Requests that cost money are stopped" in text) is blocks
    assert "https://api.example.com/portal" in text


def test_what_is_paid_is_never_overdue(statements: Statements) -> None:
    period = statements.due(statements.stripe.user())
    statements.cli("billing-periods", "mark-paid", str(period))
    statements.stripe.server.advance(FORTNIGHT)
    assert statements.mark_overdue() == 0
    assert statements.state(period) == "paid"


def test_what_is_too_small_to_be_paid_is_never_overdue(statements: Statements) -> None:
    period = statements.due(statements.stripe.user(), 49)
    statements.stripe.server.advance(FORTNIGHT)
    assert statements.mark_overdue() == 0
    assert statements.state(period) == "due"


def test_one_that_cannot_be_marked_holds_up_no_other(statements: Statements) -> None:
    users = [statements.stripe.user(name) for name in ("alice", "bob", "carol")]
    for user in users:
        statements.charge(user, 100)
    assert statements.close() == 3
    statements.stripe.server.advance(FORTNIGHT)
    second = statements.rows()[1].id
    statements.stripe.query(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;"
        f"CREATE TRIGGER refuse BEFORE UPDATE ON billing_periods FOR EACH ROW WHEN (OLD.id = '{second}')"
        " EXECUTE FUNCTION refuse()"
    )

    assert statements.mark_overdue() == 2

    assert [row.state for row in statements.rows()] == ["overdue", "due", "overdue"]
    passed_over = statements.stripe.query("SELECT batch, item FROM passed_over_items")
    assert [tuple(row) for row in passed_over] == [("mark_overdue_periods", str(second))]
