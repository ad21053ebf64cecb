"""POST /api/payments/billing-periods/{id}/pay, and what becomes of the statement."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from payments.billing.purse import BillingOverdue
from sandbox.stripe_server.protocol.response_shapes import Object
from tests.payments.statements import GOOD, Statements

FORTNIGHT = timedelta(days=14)


def blocked(statements: Statements, user: UUID) -> bool:
    with statements.stripe.app.app_context():
        try:
            statements.purse.draws(user, 10_000, statements.rules.clock())
        except BillingOverdue:
            return True
    return False


def paid_at_stripe(statements: Statements) -> None:
    """On the payer's device; we are told later."""
    with statements.stripe.app.app_context():
        statements.stripe.rules.handler.confirm_intent(statements.stripe.latest("payment_intent")["id"], GOOD)


def succeeded(statements: Statements) -> int:
    return sum(1 for each in statements.stripe.server.books.all("payment_intent") if each["status"] == "succeeded")


def test_paying_unblocks_at_once(statements: Statements) -> None:
    user = statements.stripe.user()
    period = statements.due(user)
    statements.stripe.server.advance(FORTNIGHT)
    statements.mark_overdue()
    assert blocked(statements, user)

    answer = statements.pay(user, period)
    assert answer.status_code == 200, answer.text
    payment = answer.get_json()
    assert (payment["amount"], payment["currency"], payment["status"]) == (300, "usd", "pending")
    assert payment["client_secret"]
    assert statements.confirm(user, payment["id"]) == "succeeded"

    assert not blocked(statements, user)
    shown = statements.stripe.get(f"/billing-periods/{period}", user).get_json()
    assert (shown["state"], shown["payment_id"]) == ("paid", payment["id"])
    assert shown["paid_at"] is not None


def test_paid_twice_and_late_is_one_payment(statements: Statements) -> None:
    user = statements.stripe.user()
    period = statements.due(user)
    first, again = statements.pay(user, period, key="k"), statements.pay(user, period, key="k")
    without_key = statements.pay(user, period)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert {each.get_json()["id"] for each in (first, again, without_key)} == {first.get_json()["id"]}

    paid_at_stripe(statements)
    statements.stripe.server.advance(FORTNIGHT)
    statements.mark_overdue()
    assert statements.state(period) == "overdue"
    statements.stripe.deliver()
    statements.stripe.deliver()

    assert (statements.state(period), succeeded(statements)) == ("paid", 1)
    refused = statements.pay(user, period)
    assert (refused.status_code, refused.get_json()["error"]) == (409, "billing_period_settled")
    assert refused.get_json()["state"] == "paid"


def test_money_that_comes_after_its_time_still_pays(statements: Statements) -> None:
    user = statements.stripe.user()
    period = statements.due(user)
    statements.pay(user, period)
    statements.stripe.query("UPDATE payments SET status = 'canceled'")
    paid_at_stripe(statements)
    statements.stripe.deliver()
    assert statements.state(period) == "paid"


@pytest.mark.parametrize("canceled", [True, False])
def test_money_for_what_a_person_settled_meanwhile_goes_back(statements: Statements, canceled: bool) -> None:
    user = statements.stripe.user()
    period = statements.due(user)
    payment = statements.pay(user, period).get_json()["id"]
    statements.said("billing-periods", "mark-paid", str(period))
    if canceled:
        statements.stripe.query("UPDATE payments SET status = 'canceled'")
    paid_at_stripe(statements)
    statements.stripe.deliver()

    assert statements.stripe.get(f"/{payment}", user).get_json()["status"] == "refunded"
    (row,) = statements.rows()
    assert (row.state, row.payment_id) == ("paid", None)


def test_a_refund_makes_it_due_again(statements: Statements) -> None:
    user = statements.stripe.user()
    period = statements.due(user)
    payment = statements.pay(user, period).get_json()["id"]
    statements.confirm(user, payment)
    statements.stripe.deliver()
    statements.stripe.server.advance(timedelta(days=30))
    statements.stripe.server.refunds.refund(statements.stripe.latest("charge"))
    statements.stripe.deliver()

    (row,) = statements.rows()
    assert (row.state, row.paid_at, row.payment_id) == ("due", None, None)
    assert row.due_at == statements.rules.clock() + FORTNIGHT

    refund, charge = statements.stripe.latest("refund"), statements.stripe.latest("charge")
    refund["status"] = "failed"
    charge.update(amount_refunded=0, refunded=False)
    statements.stripe.server.books.announce("refund.failed", refund)
    statements.stripe.deliver()
    assert statements.state(period) == "paid"


def test_while_a_bank_decides_a_dispute_it_stays_paid(statements: Statements) -> None:
    user = statements.stripe.user()
    period = statements.due(user)
    statements.confirm(user, statements.pay(user, period).get_json()["id"])
    dispute = statements.stripe.server.refunds.dispute(statements.stripe.latest("charge"))
    statements.stripe.deliver()
    assert statements.state(period) == "paid"
    statements.stripe.server.refunds.close(dispute, "won")
    statements.stripe.deliver()
    assert statements.state(period) == "paid"


def test_a_dispute_that_was_lost_makes_it_due_again(statements: Statements) -> None:
    user = statements.stripe.user()
    period = statements.due(user)
    first = statements.pay(user, period).get_json()["id"]
    statements.confirm(user, first)
    dispute = statements.stripe.server.refunds.dispute(statements.stripe.latest("charge"))
    statements.stripe.deliver()
    statements.stripe.server.advance(timedelta(days=30))
    statements.stripe.server.refunds.close(dispute, "lost")
    statements.stripe.deliver()
    (row,) = statements.rows()
    assert (row.state, row.paid_at, row.payment_id) == ("due", None, None)
    assert row.due_at == statements.rules.clock() + FORTNIGHT
    assert statements.stripe.get(f"/{first}", user).get_json()["status"] == "disputed"

    statements.stripe.server.advance(FORTNIGHT)
    statements.mark_overdue()
    heard_again(statements, dispute)
    assert statements.state(period) == "overdue"
    assert blocked(statements, user)
    second = statements.pay(user, period).get_json()["id"]
    assert second != first
    statements.confirm(user, second)
    heard_again(statements, dispute)
    (row,) = statements.rows()
    assert (row.state, str(row.payment_id)) == ("paid", second)
    assert not blocked(statements, user)


def test_a_dispute_that_is_won_after_all_pays_it(statements: Statements) -> None:
    user = statements.stripe.user()
    period = statements.due(user)
    statements.confirm(user, statements.pay(user, period).get_json()["id"])
    dispute = statements.stripe.server.refunds.dispute(statements.stripe.latest("charge"))
    statements.stripe.server.refunds.close(dispute, "lost")
    statements.stripe.deliver()
    assert statements.state(period) == "due"
    dispute["status"] = "won"
    heard_again(statements, dispute)
    assert statements.state(period) == "paid"


def heard_again(statements: Statements, dispute: Object) -> None:
    statements.stripe.server.books.announce("charge.dispute.updated", dispute)
    statements.stripe.deliver()


def test_another_users_and_the_month_that_runs_are_not_found(statements: Statements) -> None:
    period = statements.due(statements.stripe.user("bob"))
    user = statements.stripe.user()
    running = statements.stripe.get("/billing-periods", user).get_json()["billing_periods"][0]["id"]
    for other in (period, running, uuid4()):
        assert statements.pay(user, other).status_code == 404
    assert statements.stripe.query("SELECT 1 FROM payments") == []


def test_what_is_too_small_for_a_card_says_so(statements: Statements) -> None:
    user = statements.stripe.user()
    answer = statements.pay(user, statements.due(user, 49))
    assert (answer.status_code, answer.get_json()["error"]) == (409, "amount_too_small")


def test_a_key_stands_for_one_statement(statements: Statements) -> None:
    user = statements.stripe.user()
    statements.pay(user, statements.due(user), key="k")
    answer = statements.pay(user, uuid4(), key="k")
    assert (answer.status_code, answer.get_json()["error"]) == (422, "idempotency_key_reused")
