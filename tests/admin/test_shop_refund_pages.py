"""`/admin/orders/<id>/refund`, and `/admin/refunds`, with Stripe's stand-in."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from auth.principal import Role
from sandbox.stripe_server.server import StripeServer
from tests.admin.dashboard import BASE, Dashboard, Staff, text_of
from tests.admin.shop_orders import add_product, place
from tests.admin.test_every_admin_route import access_token
from tests.auth.accounts_app import bearer
from tests.whole.environment import stripe_environment

REASON = "It arrived broken"


@pytest.fixture(scope="module")
def stripe() -> Iterator[StripeServer]:
    server = StripeServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def dashboard_environment(stripe: StripeServer) -> dict[str, str]:
    """Production trusts no Stripe but Stripe's own."""
    return {**stripe_environment(stripe), "FLASK_ENV": "development"}


@pytest.fixture
def admin(dashboard: Dashboard) -> Staff:
    return dashboard.staff()


@pytest.fixture
def order(dashboard: Dashboard, admin: Staff) -> dict[str, Any]:
    """Three of ten, paid."""
    buyer = dashboard.staff(Role.USER)
    placed = place(dashboard, buyer, add_product(dashboard, admin))

    def call(path: str, body: dict[str, Any]) -> Any:
        headers = bearer(access_token(dashboard, buyer))
        answer = dashboard.stranger.post(f"/api/payments/stripe/{path}", json=body, headers=headers, base_url=BASE)
        assert answer.status_code == 200, answer.text
        return answer.json

    payment = call("create-intent", {"order_id": placed["id"]})
    call("confirm", {"payment_id": payment["id"], "payment_method": "pm_card_visa"})
    return placed


def form(admin: Staff, order: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """As a browser sends what the page shows."""
    page = admin.get(f"/admin/orders/{order['id']}/refund")
    (attempt,) = re.findall(r'name="attempt" value="([^"]+)"', page.text)
    line = order["items"][0]["id"]
    return {"attempt": attempt, "line": line, "quantity": "0", "restock": "false", "reason": REASON, **changes}


def stock(dashboard: Dashboard) -> int:
    ((found,),) = dashboard.query("SELECT stock_quantity FROM shop_products")
    return int(found)


def test_pieces_are_refunded_and_come_back_once_however_often_the_button_is_pressed(
    dashboard: Dashboard, admin: Staff, order: dict[str, Any]
) -> None:
    path, sent = f"/admin/orders/{order['id']}/refund", form(admin, order, quantity="1", restock="true")
    for _ in range(2):
        done = admin.post(path, sent)
        assert (done.status_code, done.headers.get("Location")) == (303, f"/admin/orders/{order['id']}?done=refunded")
    assert stock(dashboard) == 8
    shown = text_of(admin.get(f"/admin/orders/{order['id']}"))
    assert "Refunded 12.50 USD" in shown
    assert f"12.50 USD done {REASON} {admin.email}" in shown
    listed = text_of(admin.get("/admin/refunds"))
    assert f"{order['number']} 12.50 USD done {REASON} {admin.email} re_" in listed
    assert order["number"] not in text_of(admin.get("/admin/refunds?state=failed"))


def test_an_amount_is_refunded_and_more_than_is_left_is_not(
    dashboard: Dashboard, admin: Staff, order: dict[str, Any]
) -> None:
    path = f"/admin/orders/{order['id']}/refund"
    assert admin.post(path, form(admin, order, amount="30.00")).status_code == 303
    refused = admin.post(path, form(admin, order, amount="7.51"))
    assert (refused.status_code, "This is more than what is left to refund" in text_of(refused)) == (409, True)
    assert 'value="7.51"' in refused.text
    assert stock(dashboard) == 7


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"quantity": "1", "amount": "1.00"}, "Enter either pieces or an amount"),
        ({}, "Enter either pieces or an amount"),
        ({"amount": "1.001"}, "Enter an amount in usd with at most 2 digits after the point"),
        ({"amount": "1.00", "reason": "short"}, "at least 10 characters"),
        ({"line": [], "amount": "1.00"}, "Reload the page and try again"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_given(
    dashboard: Dashboard, admin: Staff, order: dict[str, Any], changes: dict[str, Any], said: str
) -> None:
    refused = admin.post(f"/admin/orders/{order['id']}/refund", form(admin, order, **changes))
    assert refused.status_code == 422
    assert said in text_of(refused), text_of(refused)
    assert dashboard.query("SELECT count(*) FROM shop_refunds") == [(0,)]


def test_it_asks_for_a_fresh_proof(admin: Staff, order: dict[str, Any]) -> None:
    sent = form(admin, order, amount="1.00")
    admin.grow_old(minutes=6)
    assert admin.post(f"/admin/orders/{order['id']}/refund", sent).status_code == 401
