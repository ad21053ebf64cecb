"""GET /api/payments/billing-periods, one of them, and its lines."""

import csv
from datetime import timedelta
from io import StringIO
from uuid import UUID, uuid4

import pytest

from payments.billing.months import period_id
from tests.payments.statements import FEBRUARY, IN_MARCH, MARCH, Statements


def listed(statements: Statements, user: UUID, query: str = "") -> list[tuple[str, str, int, int]]:
    answer = statements.stripe.get(f"/billing-periods{query}", user)
    assert answer.status_code == 200, answer.text
    return [
        (each["period"], each["state"], each["requests"], each["amount_cents"])
        for each in answer.get_json()["billing_periods"]
    ]


def test_statements_stand_below_the_month_that_runs(statements: Statements) -> None:
    user, other = statements.stripe.user(), statements.stripe.user("bob")
    statements.due(user, 300)
    statements.charge(user, 70, IN_MARCH, times=2)
    statements.charge(other, 1)

    assert listed(statements, user) == [(MARCH, "open", 2, 140), (FEBRUARY, "due", 1, 300)]


def test_who_never_paid_sees_an_empty_month(statements: Statements) -> None:
    assert listed(statements, statements.stripe.user()) == [(MARCH, "open", 0, 0)]


def test_what_is_open_is_what_closing_would_make(statements: Statements) -> None:
    """February was not closed yet; then it is, and what comes late stands in March."""
    user = statements.stripe.user()
    statements.charge(user, 300)
    statements.charge(user, 70, IN_MARCH)
    statements.said("billing-periods", "credit", "alice@example.com", "--cents", "350", "--reason", "x")
    assert listed(statements, user) == [(MARCH, "open", 1, 20), (FEBRUARY, "open", 1, 0)]

    statements.close()
    statements.charge(user, 5)
    assert listed(statements, user) == [(MARCH, "open", 2, 25), (FEBRUARY, "paid", 1, 0)]


def test_page_by_page(statements: Statements) -> None:
    user = statements.stripe.user()
    statements.due(user)
    statements.charge(user, 70, IN_MARCH)
    statements.stripe.server.advance(timedelta(days=22))
    statements.close(MARCH)

    seen, cursor = [], ""
    for _ in range(3):
        answer = statements.stripe.get(f"/billing-periods?limit=1{cursor}", user).get_json()
        seen += [each["period"] for each in answer["billing_periods"]]
        cursor = f"&cursor={answer['next_cursor']}"
    assert seen == ["2026-04", MARCH, FEBRUARY]
    assert answer["next_cursor"] is None


@pytest.mark.parametrize("cursor", ["x", "6b8d9bc8-6be9-4a4a-8367-0612975b495e"])
def test_a_cursor_of_no_list_is_refused(statements: Statements, cursor: str) -> None:
    assert statements.stripe.get(f"/billing-periods?cursor={cursor}", statements.stripe.user()).status_code == 422


def test_a_cursor_of_another_user_is_refused(statements: Statements) -> None:
    period = statements.due(statements.stripe.user("bob"))
    assert statements.stripe.get(f"/billing-periods?cursor={period}", statements.stripe.user()).status_code == 422


def test_one_has_the_same_id_before_and_after_its_month_is_closed(statements: Statements) -> None:
    user = statements.stripe.user()
    statements.charge(user, 300)
    path = f"/billing-periods/{period_id(user, FEBRUARY)}"
    assert statements.stripe.get(path, user).get_json()["state"] == "open"

    statements.close()
    assert statements.stripe.get(path, user).get_json() == {
        "id": str(period_id(user, FEBRUARY)),
        "period": FEBRUARY,
        "state": "due",
        "requests": 1,
        "credits_cents": 0,
        "amount_cents": 300,
        "currency": "usd",
        "closed_at": "2026-03-10T12:00:00Z",
        "due_at": "2026-03-24T12:00:00Z",
        "paid_at": None,
        "payment_id": None,
    }


@pytest.mark.parametrize("path", ["", "/lines.csv"])
def test_another_users_is_not_found(statements: Statements, path: str) -> None:
    bob = statements.stripe.user("bob")
    period = statements.due(bob)
    user = statements.stripe.user()
    for other in (period, period_id(bob, MARCH), uuid4()):
        assert statements.stripe.get(f"/billing-periods/{other}{path}", user).status_code == 404


def test_nobody_reads_them_without_signing_in(statements: Statements) -> None:
    assert statements.stripe.get("/billing-periods").status_code == 401


def lines(statements: Statements, user: UUID, period: UUID) -> list[dict[str, str]]:
    answer = statements.stripe.get(f"/billing-periods/{period}/lines.csv", user)
    assert (answer.status_code, answer.mimetype) == (200, "text/csv")
    return list(csv.DictReader(StringIO(answer.text)))


def test_the_lines_add_up_to_the_statement(statements: Statements, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payments.billing.read.PORTION", 2)
    user = statements.stripe.user()
    statements.charge(user, 1.5, times=5)
    statements.charge(user, 1, IN_MARCH)
    statements.charge(statements.stripe.user("bob"), 100)
    statements.said("billing-periods", "credit", "alice@example.com", "--cents", "3", "--reason", "=1+1")
    period = period_id(user, FEBRUARY)
    before = lines(statements, user, period)

    statements.close()

    found = lines(statements, user, period)
    assert found == before
    assert [each["kind"] for each in found] == ["credit", *["charge"] * 5]
    assert (found[0]["about"], found[0]["amount_micros"]) == ("'=1+1", "-30000")
    assert {each["currency"] for each in found} == {"usd"}
    assert sum(int(each["amount_micros"]) for each in found) == 45_000
    assert listed(statements, user)[1] == (FEBRUARY, "due", 5, 5)
