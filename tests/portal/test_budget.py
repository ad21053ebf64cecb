"""/portal/budget"""

import pytest

from tests.admin.dashboard import Dashboard


def test_it_is_set_changed_and_removed(dashboard: Dashboard) -> None:
    customer = dashboard.customer()
    for amount, cents, done in (("12.50", 1250, "set"), ("20", 2000, "set"), ("0", 0, "set"), ("", None, "removed")):
        answer = customer.post("/portal/budget", {"amount": amount})
        assert answer.headers["Location"] == f"/portal/budget?done={done}"
        found = dashboard.query("SELECT monthly_cents FROM usage_budgets WHERE user_id = :id", id=customer.user_id)
        assert found == ([] if cents is None else [(cents,)])
    assert "The budget is removed." in customer.get("/portal/budget?done=removed").text


@pytest.mark.parametrize("amount", ["-1", "1.234", "1e3", "20,00", "99999999", "twenty", "٣"])
def test_what_is_no_amount_is_said_and_changes_nothing(dashboard: Dashboard, amount: str) -> None:
    customer = dashboard.customer()
    page = customer.post("/portal/budget", {"amount": amount})
    assert (page.status_code, "Enter an amount such as 20 or 12.50" in page.text) == (422, True)
    assert dashboard.query("SELECT * FROM usage_budgets WHERE user_id = :id", id=customer.user_id) == []
