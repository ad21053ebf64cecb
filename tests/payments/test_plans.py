"""GET /api/payments/plans"""

from tests.payments.payments_app import RunningPayments


def test_anybody_sees_the_plans_and_how_they_are_bought(running: RunningPayments) -> None:
    answer = running.get("/plans")
    assert answer.status_code == 200
    free, pro = answer.get_json()["plans"]
    assert (free["tier"], free["predictions_per_day"], free["offers"]) == ("free", 5, [])
    assert (pro["features"], pro["benefits"]) == (["x"], ["Priority support"])
    assert [plan["requests_per_minute"] for plan in (free, pro)] == [60, 300]
    assert [plan["account_calls_per_minute"] for plan in (free, pro)] == [10, 20]
    (offer,) = pro["offers"]
    assert offer == {"provider": "apple", "billing_cycle": "monthly", "product_id": "com.example.pro", "price": None}
