"""`GET /api/shop/orders`, `GET /api/shop/orders/{id}` and `GET /api/shop/admin/orders`."""

from uuid import UUID, uuid4

import pytest

from tests.capabilities.shop.orders.buying import ORDERS, SHIP_TO, STAFFS_ORDERS, Shop, ids
from tests.capabilities.shop.products.catalogue import some


def test_a_buyer_sees_their_own_orders_the_newest_first_by_pages(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=9)
    orders = [UUID(shop.order(buyer, (tree, 1))["id"]) for _ in range(3)]
    shop.order(shop.person(), (tree, 1))
    first = shop.get(f"{ORDERS}?limit=2", buyer)
    assert ids(first) == orders[:0:-1]
    rest = shop.get(f"{ORDERS}?limit=2&cursor={first.get_json()['next_cursor']}", buyer)
    assert (ids(rest), rest.get_json()["next_cursor"]) == (orders[:1], None)


def test_orders_are_found_by_status(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=9)
    kept, cancelled = shop.order(buyer, (tree, 1)), shop.order(buyer, (tree, 1))
    shop.cancel(buyer, cancelled)
    assert ids(shop.get(f"{ORDERS}?status=pending", buyer)) == [UUID(kept["id"])]
    assert ids(shop.get(f"{ORDERS}?status=cancelled", buyer)) == [UUID(cancelled["id"])]


def test_the_cursor_of_another_buyer_shows_nothing_of_theirs(shop: Shop, buyer: str) -> None:
    tree, other = shop.product(stock_quantity=9), shop.person()
    own, foreign = shop.order(buyer, (tree, 1)), shop.order(other, (tree, 1))
    assert ids(shop.get(f"{ORDERS}?cursor={foreign['id']}", buyer)) == [UUID(own["id"])]
    assert ids(shop.get(f"{ORDERS}?cursor={own['id']}", other)) == []


@pytest.mark.parametrize("query", ["cursor=1", "limit=0", "limit=201", "status=paid", "user_id=1", "q=x"])
def test_bad_input_is_refused(shop: Shop, buyer: str, query: str) -> None:
    assert shop.get(f"{ORDERS}?{query}", buyer).status_code == 422


def test_somebody_elses_order_is_not_found(shop: Shop, buyer: str) -> None:
    order = shop.order(buyer, (shop.product(stock_quantity=1), 1))
    path = f"{ORDERS}/{order['id']}"
    assert {shop.get(path, other).status_code for other in (shop.person(), shop.support, shop.admin)} == {404}
    assert shop.get(f"{ORDERS}/{uuid4()}", buyer).status_code == 404
    for each in (path, ORDERS):
        answer = shop.get(each)
        assert (answer.status_code, answer.headers["WWW-Authenticate"][:6]) == (401, "Bearer")


def test_staff_find_every_order(shop: Shop, buyer: str) -> None:
    name = some("Zoe_100%")
    order = shop.free_order(buyer, ship_to={**SHIP_TO, "name": name})
    other = shop.order(shop.person(), (shop.product(stock_quantity=1), 1))
    shop.move(order, "shipped", tracking=some("T"))
    (row,) = shop.rows(
        "SELECT email, tracking FROM shop_orders JOIN users ON users.id = user_id WHERE shop_orders.id = %s",
        order["id"],
    )
    number = order["number"]
    asked = [f"user_id={order['user_id']}", f"user_id={order['user_id']}&status=shipped"]
    asked += [f"q={each}" for each in (number, number[:6].lower(), "_100%25", row["email"].upper(), row["tracking"])]
    for query in asked:
        assert ids(shop.get(f"{STAFFS_ORDERS}?{query}", shop.support)) == [UUID(order["id"])], query
    everybodys = ids(shop.get(STAFFS_ORDERS, shop.admin))
    assert everybodys[:2] == [UUID(other["id"]), UUID(order["id"])]
    assert ids(shop.get(f"{STAFFS_ORDERS}?q=nobody", shop.support)) == []


def test_only_staff_see_all_orders(shop: Shop, buyer: str) -> None:
    answer = shop.get(STAFFS_ORDERS, buyer)
    assert (answer.status_code, answer.get_json()["error"]) == (403, "insufficient_role")
    assert shop.get(STAFFS_ORDERS).status_code == 401


def test_events_show_the_staffs_words_to_staff_alone(shop: Shop, buyer: str) -> None:
    order = shop.free_order(buyer)
    shop.move(order, "cancelled", reason="A joker")
    path = f"{ORDERS}/{order['id']}/events"
    own, staffs = (shop.get(path, token).get_json()["events"] for token in (buyer, shop.support))
    assert [(each["from_status"], each["to_status"], each["actor"]) for each in own] == [
        ("confirmed", "cancelled", "staff"),
        ("pending", "confirmed", "system"),
        (None, "pending", "buyer"),
    ]
    assert [(each["reason"], each["actor_id"]) for each in own] == [(None, None)] * 3
    assert staffs[0]["reason"] == "A joker"
    assert staffs[0]["actor_id"] is not None
    assert shop.get(path, shop.person()).status_code == 404
    assert shop.get(f"{ORDERS}/{uuid4()}/events", shop.support).status_code == 404
    assert shop.get(path).status_code == 401


def test_a_buyers_reason_is_shown_to_both(shop: Shop, buyer: str) -> None:
    order = shop.order(buyer, (shop.product(stock_quantity=3), 1))
    shop.cancel(buyer, order, reason="Too dear")
    for token in (buyer, shop.support):
        events = shop.get(f"{ORDERS}/{order['id']}/events?limit=1", token).get_json()["events"]
        assert [each["reason"] for each in events] == ["Too dear"]


def test_staff_who_look_through_an_account_see_its_orders_and_change_nothing(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=3)
    order = shop.order(buyer, (tree, 1))
    wanted = {"user_id": order["user_id"], "reason": "They asked for help"}
    begun = shop.call("POST", "/api/auth/admin/impersonate", shop.support, json=wanted)
    assert begun.status_code == 201, begun.text
    looking = begun.get_json()["access_token"]
    assert shop.shown(looking, order) == order
    assert shop.get(STAFFS_ORDERS, looking).status_code == 403
    for refused in (shop.place(looking, (tree, 1)), shop.cancel(looking, order)):
        assert (refused.status_code, refused.get_json()["error"]) == (403, "impersonation_read_only")
    assert shop.stock(tree) == 2


def test_a_key_with_the_scope_places_and_reads_and_does_nothing_else(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=3)
    made = shop.call("POST", "/api/auth/tokens", buyer, json={"name": "till", "scopes": ["orders"]})
    assert made.status_code == 201, made.text
    key = made.get_json()["token"]
    order = shop.order(key, (tree, 1))
    assert shop.shown(buyer, order) == shop.shown(key, order)
    assert ids(shop.get(ORDERS, key)) == [UUID(order["id"])]
    assert shop.get(f"{ORDERS}/{order['id']}/events", key).status_code == 200
    assert shop.cancel(key, order).status_code in {401, 403}
    assert shop.get(STAFFS_ORDERS, key).status_code in {401, 403}
    status = shop.call("PUT", f"{ORDERS}/{order['id']}/status", key, json={"status": "cancelled"})
    assert status.status_code in {401, 403}
    assert shop.shown(buyer, order)["status"] == "pending"
