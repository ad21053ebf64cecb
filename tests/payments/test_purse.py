"""What an account may spend and owe: exact under any number of parallel calls."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import event

from database import db
from metering.usage.budget import set_budget
from payments.billing.purse import OWED, BillingLimitReached, BillingOverdue
from security.edge.problems import Problem
from tests.payments.metered_account import MeteredAccount, metered_account
from tests.payments.statements import MARCH, Statements
from tests.payments.stripe_app import MakeStripe

UNTIL_APRIL = timedelta(days=22)
CAP = 2_000
PER_CALL = 100


@pytest.fixture
def account(statements: Statements, database_url: str) -> Iterator[MeteredAccount]:
    with metered_account(statements, database_url, statements.stripe.user()) as made:
        yield made


def error_of(refusal: Problem | None) -> str | None:
    return None if refusal is None else refusal.error


def calls_until_refused(account: MeteredAccount) -> int:
    done = 0
    while (refusal := account.call(PER_CALL)) is None:
        done += 1
    assert refusal.error == "billing_limit_reached"
    return done


def test_a_free_call_draws_nothing_and_asks_nothing(statements: Statements) -> None:
    asked: list[object] = []
    with statements.stripe.app.app_context():
        listener = lambda *arguments: asked.append(arguments)  # noqa: E731
        event.listen(db.engine, "checkout", listener)
        try:
            assert statements.purse.draws(uuid4(), 0, statements.rules.clock()) == ()
            assert asked == []
            statements.purse.draws(uuid4(), 1, statements.rules.clock())
            assert len(asked) == 1  # one query for all terms
        finally:
            event.remove(db.engine, "checkout", listener)


def test_parallel_calls_owe_exactly_what_an_account_may_owe(account: MeteredAccount) -> None:
    with ThreadPoolExecutor(8) as side_by_side:
        ended = list(side_by_side.map(lambda _: account.call(PER_CALL), range(40)))

    assert [error_of(each) for each in ended].count(None) == CAP // PER_CALL
    assert {error_of(each) for each in ended} == {None, "billing_limit_reached"}
    charged = account.statements.stripe.query("SELECT count(*), sum(price_micros) FROM charges")[0]
    assert tuple(charged) == (CAP // PER_CALL, CAP * 10_000)


def test_the_refusal_says_what_is_open_and_where_to_pay(account: MeteredAccount) -> None:
    account.call(1_950)
    refusal = account.call(PER_CALL)
    assert isinstance(refusal, BillingLimitReached)
    assert refusal.body("r")["status"] == 402
    assert refusal.members == {
        "open_cents": 1_950,
        "max_open_cents": CAP,
        "currency": "usd",
        "pay_url": "https://api.example.com/portal",
        "billing_periods": "/api/payments/billing-periods",
    }
    assert "19.50 USD of 20.00 USD are open" in refusal.detail


def test_what_is_paid_waived_or_credited_may_be_owed_again(account: MeteredAccount) -> None:
    statements = account.statements
    assert calls_until_refused(account) == 20
    statements.said("billing-periods", "credit", "alice@example.com", "--cents", "250", "--reason", "x")
    assert calls_until_refused(account) == 2

    statements.stripe.server.advance(UNTIL_APRIL)
    statements.close(MARCH)
    assert calls_until_refused(account) == 0  # closing alone settles nothing

    (row,) = statements.rows()
    assert row.amount_cents == 1_950
    payment = statements.pay(account.user, row.id).get_json()["id"]
    statements.confirm(account.user, payment)
    assert calls_until_refused(account) == 20

    statements.stripe.server.refunds.refund(statements.stripe.latest("charge"))
    statements.stripe.deliver()
    assert calls_until_refused(account) == 0
    statements.said("billing-periods", "waive", str(row.id))
    assert calls_until_refused(account) == 0  # what is open is of April now
    statements.stripe.server.advance(timedelta(days=30))
    statements.close("2026-04")
    statements.said("billing-periods", "waive", str(statements.rows()[1].id))
    assert calls_until_refused(account) == 20


def test_a_budget_holds_beside_the_cap(account: MeteredAccount) -> None:
    with account.statements.stripe.app.app_context():
        set_budget(account.user, 700, account.statements.rules.clock())
    ended = [error_of(account.call(PER_CALL)) for _ in range(9)]
    assert ended == [None] * 7 + ["budget_reached"] * 2


def test_without_a_cap_what_was_charged_is_still_counted(make_stripe: MakeStripe, database_url: str) -> None:
    statements = Statements(make_stripe(periods={"max_open_cents": None}))
    with metered_account(statements, database_url, statements.stripe.user()) as account:
        assert [account.call(CAP) for _ in range(3)] == [None] * 3
    used = statements.stripe.query("SELECT used FROM usage_counters WHERE \"window\" = 'ever'")
    assert [row.used for row in used] == [3 * CAP * 10_000]


def test_an_account_that_may_owe_nothing_cannot_call(make_stripe: MakeStripe, database_url: str) -> None:
    statements = Statements(make_stripe(periods={"max_open_cents": 0}))
    with metered_account(statements, database_url, statements.stripe.user()) as account:
        assert error_of(account.call(1)) == "billing_limit_reached"
        assert account.call(0) is None


@pytest.mark.parametrize("blocks", [True, False])
def test_an_overdue_statement_blocks(make_stripe: MakeStripe, blocks: bool) -> None:
    statements = Statements(make_stripe(periods={"overdue_blocks": blocks}))
    user = statements.stripe.user()
    statements.due(user)
    statements.stripe.server.advance(timedelta(days=14))
    statements.mark_overdue()
    with statements.stripe.app.app_context():
        if not blocks:
            budget, owed = statements.purse.draws(user, 1, statements.rules.clock())
            assert (budget.policy, owed.policy) == ("budget", OWED)
            return
        with pytest.raises(BillingOverdue) as refusal:
            statements.purse.draws(user, 1, statements.rules.clock())
        assert statements.purse.draws(user, 0, statements.rules.clock()) == ()
    assert refusal.value.body("r")["status"] == 402
    assert (refusal.value.members["overdue_cents"], refusal.value.error) == (300, "billing_overdue")


def test_a_budget_is_of_a_month_and_what_is_owed_of_all_time(statements: Statements) -> None:
    with statements.stripe.app.app_context():
        budget, owed = statements.purse.draws(uuid4(), 1, statements.rules.clock())
    assert (budget.window.name, owed.window.name) == (MARCH, "ever")
