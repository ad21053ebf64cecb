"""/portal/statements"""

from datetime import timedelta
from uuid import UUID

from database.base import uuid7
from tests.admin.dashboard import Dashboard, text_of


def charge(dashboard: Dashboard, user_id: UUID, *, micros: int = 1_000_000) -> UUID:
    request_id, now = uuid7(), dashboard.auth.clock()
    dashboard.query(
        "INSERT INTO charges (request_id, user_id, feature, price_micros, cost_micros, window_date, created_at)"
        " VALUES (:id, :user_id, 'predict', :micros, 0, :day, :at)",
        id=request_id,
        user_id=user_id,
        micros=micros,
        day=now.date(),
        at=now - timedelta(seconds=1),
    )
    return request_id


def test_the_month_that_runs_is_there_with_its_lines(dashboard: Dashboard) -> None:
    customer = dashboard.customer()
    request_id = charge(dashboard, customer.user_id)
    listed = customer.get("/portal/statements")
    month = f"{dashboard.auth.clock():%Y-%m}"
    assert f"{month} open 1 1.00 USD" in text_of(listed)
    address = listed.text.partition('href="/portal/statements/')[2].partition('"')[0]
    page = text_of(customer.get(f"/portal/statements/{address}"))
    assert f"Statement of {month}" in page and str(request_id) in page
    csv = customer.get(f"/portal/statements/{address}/lines.csv")
    assert (csv.mimetype, str(request_id) in csv.text) == ("text/csv", True)


def test_a_statement_of_somebody_else_is_not_there(dashboard: Dashboard) -> None:
    owner = dashboard.customer()
    charge(dashboard, owner.user_id)
    address = owner.get("/portal/statements").text.partition('href="/portal/statements/')[2].partition('"')[0]
    other = dashboard.customer()
    assert other.get(f"/portal/statements/{address}").status_code == 404
    assert other.get(f"/portal/statements/{address}/lines.csv").status_code == 404
