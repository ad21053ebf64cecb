"""`/api/admin/users`, `/tokens`, `/requests`, `/billing-periods`: the same as JSON."""

from typing import Any
from uuid import uuid4

import pytest

from auth.principal import Role
from tests.admin.dashboard import BASE, Dashboard, Staff
from tests.admin.test_every_admin_route import access_token
from tests.admin.test_request_log_pages import log_call
from tests.admin.test_staff_pages import events, make_key, make_statement
from tests.auth.accounts_app import bearer

LISTS = ("users", "tokens", "requests", "billing-periods")


def ask(dashboard: Dashboard, who: Staff, path: str, body: Any = None, method: str = "GET") -> tuple[int, Any]:
    answer = dashboard.stranger.open(
        f"/api/admin{path}", method=method, json=body, headers=bearer(access_token(dashboard, who)), base_url=BASE
    )
    return answer.status_code, answer.get_json()


def test_lists_go_page_by_page_and_say_whose_a_row_is(dashboard: Dashboard) -> None:
    alice, bob, admin = dashboard.user(), dashboard.user("bob@example.com"), dashboard.staff()
    for user in (alice, bob):
        make_key(dashboard, user)
        log_call(dashboard, user, dashboard.auth.clock())
        make_statement(dashboard, user)
    for name in LISTS:
        rows, cursor = name.replace("-", "_"), ""
        seen: list[str] = []
        while True:
            status, page = ask(dashboard, admin, f"/{name}?limit=1{cursor}")
            assert (status, len(page[rows])) == (200, 1)
            seen += [each["email"] for each in page[rows]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert sorted(seen) == sorted(
            {"alice@example.com", "bob@example.com", *([admin.email] if name == "users" else [])}
        )
        _, page = ask(dashboard, admin, f"/{name}?account=bob@example.com")
        assert [each["email"] for each in page[rows]] == ["bob@example.com"]


def test_support_names_the_account(dashboard: Dashboard) -> None:
    alice, support = dashboard.user(), dashboard.staff(Role.SUPPORT)
    for name in LISTS:
        status, problem = ask(dashboard, support, f"/{name}")
        assert (status, problem["errors"][0]["pointer"]) == (422, "/account")
        assert ask(dashboard, support, f"/{name}?account={alice}")[0] == 200
        assert ask(dashboard, support, f"/{name}?account=nobody@example.com")[0] == 422
    status, listed = ask(dashboard, support, "/settings")
    assert (status, [each["name"] for each in listed["settings"]]) == (200, ["solve_price_cents"])


@pytest.mark.parametrize(
    "query",
    [
        "users?tier=gold",
        "tokens?state=lost",
        "requests?from=yesterday",
        "requests?outcome=good",
        "billing-periods?period=2026-13",
        "users?cursor=x",
        "users?colour=red",
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(dashboard: Dashboard, query: str) -> None:
    assert ask(dashboard, dashboard.staff(), f"/{query}")[0] == 422


def test_the_first_and_the_last_days_are_days(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    for query in ("to=9999-12-31", "to=0001-01-01", "from=9999-12-31"):
        assert ask(dashboard, admin, f"/requests?outcome=failed&{query}")[0] == 200, query


def test_a_statement_is_settled_and_credited(dashboard: Dashboard) -> None:
    alice, admin, support = dashboard.user(), dashboard.staff(), dashboard.staff(Role.SUPPORT)
    path = f"/billing-periods/{make_statement(dashboard, alice)}"
    assert ask(dashboard, support, f"{path}/mark-paid", method="POST")[0] == 403
    status, paid = ask(dashboard, admin, f"{path}/mark-paid", method="POST")
    assert (status, paid["state"], paid["email"]) == (200, "paid", "alice@example.com")
    assert ask(dashboard, admin, f"{path}/mark-paid", {"reason": "paid by bank transfer"}, "POST")[0] == 200
    assert ask(dashboard, admin, f"{path}/waive", method="POST")[0] == 409
    credit = {"cents": 250, "reason": "the answer was wrong"}
    (first, given), (second, again) = (ask(dashboard, admin, f"{path}/credit", credit, "POST") for _ in range(2))
    assert (first, second, given["id"], given["cents"]) == (200, 200, again["id"], 250)
    for wrong in ({**credit, "cents": 0}, {**credit, "cents": 1.5}, {"cents": 1}, {**credit, "reason": "x"}):
        assert ask(dashboard, admin, f"{path}/credit", wrong, "POST")[0] == 422
    assert ask(dashboard, admin, f"/billing-periods/{uuid4()}/waive", method="POST")[0] == 404
    assert [row[1] for row in events(dashboard, "billing_period_marked_paid")] == [admin.user_id]
    assert [row[1] for row in events(dashboard, "billing_credit_given")] == [admin.user_id]
