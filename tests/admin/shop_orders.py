"""Products and orders for the pages of the shop. Orders are placed by the API, and paid as their payment's fact makes it."""

from typing import Any
from uuid import UUID

from auth.principal import Role
from capabilities.shop.models import Order, OrderStatus
from capabilities.shop.move_order import Actor, move_order
from database import transaction
from database.base import uuid7
from metering.purchase import ORDER
from payments.models import Payment
from tests.admin.dashboard import BASE, Dashboard, Staff
from tests.admin.test_every_admin_route import access_token
from tests.auth.accounts_app import bearer

PRODUCTS, ORDERS = "/api/shop/products", "/api/shop/orders"
SHIP_TO = {
    "name": "Alice Example",
    "line1": "1 Sample Street",
    "city": "Springfield",
    "postal_code": "12345",
    "country": "US",
}


def call(dashboard: Dashboard, who: Staff, path: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = bearer(access_token(dashboard, who))
    answer = dashboard.stranger.post(path, json=body, headers=headers, base_url=BASE)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.get_json()
    return made


def add_product(dashboard: Dashboard, admin: Staff, name: str = "Juniper", stock: int = 10, **more: Any) -> str:
    product = {"name": name, "price": "12.50", "stock_quantity": stock, **more}
    return str(call(dashboard, admin, PRODUCTS, product)["id"])


def place(dashboard: Dashboard, buyer: Staff, product: str, quantity: int = 3, **more: Any) -> dict[str, Any]:
    items = [{"product_id": product, "quantity": quantity}]
    return call(dashboard, buyer, ORDERS, {"items": items, "ship_to": SHIP_TO, **more})


def pay(dashboard: Dashboard, order: dict[str, Any], external_id: str = "pi_1", status: str = "succeeded") -> None:
    now, order_id = dashboard.auth.clock(), UUID(order["id"])
    with dashboard.app.app_context(), transaction() as session:
        payment = Payment(
            id=uuid7(),
            user_id=session.get_one(Order, order_id).user_id,
            provider="stripe",
            external_id=external_id,
            amount=order["total_minor"],
            currency=order["currency"],
            purchase_kind=ORDER,
            purchase_id=order_id,
            quantity=1,
            reserved_until=now,
            status=status,
            created_at=now,
            updated_at=now,
        )
        session.add(payment)
        session.flush()
        moved = move_order(
            session,
            order_id,
            OrderStatus.PENDING,
            OrderStatus.CONFIRMED,
            now,
            actor=Actor.PAYMENT,
            payment_id=payment.id,
        )
        assert moved


def paid_order(dashboard: Dashboard, admin: Staff, quantity: int = 3, **more: Any) -> dict[str, Any]:
    """Of a buyer of its own."""
    order = place(dashboard, dashboard.staff(Role.USER), add_product(dashboard, admin), quantity, **more)
    pay(dashboard, order, f"pi_{order['number']}")
    return order
