"""`/admin/shipping` and `/admin/orders`."""

from auth.principal import Role
from tests.admin.dashboard import Dashboard, text_of
from tests.admin.shop_orders import add_product, paid_order, pay, place


def status_of(dashboard: Dashboard, order_id: str) -> tuple[str, str | None]:
    ((status, tracking),) = dashboard.query("SELECT status, tracking FROM shop_orders WHERE id = :id", id=order_id)
    return status, tracking


def test_orders_to_ship_are_paid_ones_with_all_that_a_parcel_needs(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    order = paid_order(dashboard, admin, note="Ring <b>twice</b>")
    unpaid = place(dashboard, dashboard.staff(Role.USER), add_product(dashboard, admin))
    page = admin.get("/admin/shipping")
    shown = text_of(page)
    for said in (
        "3 \N{MULTIPLICATION SIGN} Juniper",
        "Alice Example 1 Sample Street 12345 Springfield US",
        order["number"],
        "Ring <b>twice</b>",
    ):
        assert said in shown
    assert "<b>twice" not in page.text
    assert unpaid["number"] not in shown


def test_one_click_ships_and_leads_back_to_the_list(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    order = paid_order(dashboard, admin)
    done = admin.post(f"/admin/orders/{order['id']}/ship", {"tracking": "1Z 999", "back_to": "shipping"})
    assert (done.status_code, done.headers["Location"]) == (303, "/admin/shipping?done=shipped")
    assert status_of(dashboard, order["id"]) == ("shipped", "1Z 999")
    assert "The order is marked as shipped." in text_of(admin.get(done.headers["Location"]))
    assert order["number"] not in text_of(admin.get("/admin/shipping"))
    again = admin.post(f"/admin/orders/{order['id']}/ship", {"tracking": ""})
    assert again.headers["Location"] == f"/admin/orders/{order['id']}?done=shipped"


def test_a_disputed_order_has_no_button_and_is_not_shipped(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    order = place(dashboard, dashboard.staff(Role.USER), add_product(dashboard, admin))
    pay(dashboard, order, status="disputed")
    page = admin.get("/admin/shipping")
    assert "Do not ship this order." in text_of(page)
    assert f"{order['id']}/ship" not in page.text
    refused = admin.post(f"/admin/orders/{order['id']}/ship")
    assert (refused.status_code, "is disputed" in text_of(refused)) == (409, True)
    assert status_of(dashboard, order["id"]) == ("confirmed", None)


def test_what_was_quicker_is_said_on_the_form(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    order = place(dashboard, dashboard.staff(Role.USER), add_product(dashboard, admin))
    refused = admin.post(f"/admin/orders/{order['id']}/ship", {"tracking": "1Z"})
    assert refused.status_code == 409
    assert "The order cannot change to this status from the one that it has" in text_of(refused)
    assert 'value="1Z"' in refused.text


def test_an_order_has_its_lines_payment_and_history(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    order = paid_order(dashboard, admin)
    admin.post(f"/admin/orders/{order['id']}/ship")
    assert admin.post(f"/admin/orders/{order['id']}/deliver").status_code == 303
    shown = text_of(admin.get(f"/admin/orders/{order['id']}"))
    for said in (
        "Status delivered",
        "Payment paid",
        f"pi_{order['number']}",
        "37.50 USD",
        "pending → confirmed payment",
        f"shipped → delivered {admin.email}",
        "No refund was given.",
    ):
        assert said in shown, said


def test_cancelling_asks_for_a_reason_and_a_fresh_proof(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    order = paid_order(dashboard, admin)
    path = f"/admin/orders/{order['id']}/cancel"
    assert admin.post(path, {"reason": "short"}).status_code == 422
    assert admin.post(path, {"reason": "It cannot be delivered"}).status_code == 303
    assert status_of(dashboard, order["id"])[0] == "cancelled"
    assert "It cannot be delivered" in text_of(admin.get(f"/admin/orders/{order['id']}"))
    admin.grow_old(minutes=6)
    assert admin.post(path, {"reason": "It cannot be delivered"}).status_code == 401


def test_orders_are_found_by_number_address_and_name(dashboard: Dashboard) -> None:
    admin, buyer = dashboard.staff(), dashboard.staff(Role.USER)
    product = add_product(dashboard, admin)
    first, second = place(dashboard, buyer, product, 1), place(dashboard, dashboard.staff(Role.USER), product, 1)
    for query, found in (
        ("", [True, True]),
        (f"q={first['number']}", [True, False]),
        (f"q={buyer.email}", [True, False]),
        ("q=alice+example", [True, True]),
        ("status=confirmed", [False, False]),
        ("q=nobody", [False, False]),
    ):
        page = admin.get(f"/admin/orders?{query}").text
        assert [f"/admin/orders/{each['id']}" in page for each in (first, second)] == found, query
    page = admin.get("/admin/orders?limit=1").text
    assert f"cursor={second['id']}" in page
    assert f"/admin/orders/{first['id']}" in admin.get(f"/admin/orders?limit=1&cursor={second['id']}").text


def test_support_looks_and_has_no_buttons(dashboard: Dashboard) -> None:
    order = paid_order(dashboard, dashboard.staff())
    support = dashboard.staff(Role.SUPPORT)
    for path in ("/admin/shipping", f"/admin/orders/{order['id']}"):
        page = support.get(path)
        assert page.status_code == 200
        assert f"{order['id']}/" not in page.text
