"""Whatever happens to orders in whatever order, the stock is what is left of it, and nothing leaves an end."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capabilities.shop.models import OrderStatus
from capabilities.shop.move_order import MOVES
from tests.capabilities.shop.orders.buying import Shop

STOCK = 6
STEPS = ("place", "place", "cancel", "pay", "ship", "deliver", "cancel_by_staff", "time_is_over")


@pytest.mark.slow
@settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 3), st.integers(1, 3)), min_size=4, max_size=14))
def test_the_stock_is_what_no_order_holds(shop: Shop, steps: list[tuple[str, int, int]]) -> None:
    leaflet = shop.product(stock_quantity=STOCK, price="0", ships=False)
    tree, buyer = shop.product(stock_quantity=STOCK), shop.person()
    orders: list[dict[str, str]] = []
    held: dict[str, int] = {}
    for step, which, quantity in steps:
        before = statuses(shop, orders)
        if step == "place":
            line = (tree if which % 2 else leaflet, quantity)
            answer = shop.place(buyer, line)
            if answer.status_code == 201:
                orders.append(answer.get_json())
                held[orders[-1]["id"]] = quantity
            else:
                assert answer.status_code in {409, 429}
        elif orders:
            order = orders[which % len(orders)]
            happen(shop, buyer, step, order)
        for order_id, old in before.items():
            new = statuses(shop, orders)[order_id]
            assert new is old or new in MOVES[old], (step, old, new)
        for product in (tree, leaflet):
            kept = [
                held[order["id"]]
                for order, status in zip(orders, statuses(shop, orders).values(), strict=True)
                if status is not OrderStatus.CANCELLED and order["items"][0]["product_id"] == product["id"]  # type: ignore[index]
            ]
            assert shop.stock(product) == STOCK - sum(kept)
        shop.assert_books_agree(tree, leaflet)


def happen(shop: Shop, buyer: str, step: str, order: dict[str, str]) -> None:
    """What is not allowed is refused."""
    match step:
        case "cancel":
            assert shop.cancel(buyer, order).status_code in {200, 409}
        case "pay":
            begun = shop.call("POST", "/api/payments/stripe/create-intent", buyer, json={"order_id": order["id"]})
            if begun.status_code == 200:
                paid = {"payment_id": begun.get_json()["id"], "payment_method": "pm_card_visa"}
                assert shop.call("POST", "/api/payments/stripe/confirm", buyer, json=paid).status_code == 200
        case "time_is_over":
            shop.rows("UPDATE shop_orders SET reserved_until = now() - interval '1 second' WHERE id = %s", order["id"])
            shop.release_unpaid()
        case _:
            status = {"ship": "shipped", "deliver": "delivered", "cancel_by_staff": "cancelled"}[step]
            assert shop.move(order, status).status_code in {200, 409}


def statuses(shop: Shop, orders: list[dict[str, str]]) -> dict[str, OrderStatus]:
    rows = shop.rows(
        "SELECT id::text, status FROM shop_orders WHERE id::text = ANY(%s)", [each["id"] for each in orders]
    )
    found = {row["id"]: OrderStatus(row["status"]) for row in rows}
    return {each["id"]: found[each["id"]] for each in orders}
