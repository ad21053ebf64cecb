"""The shop with Stripe beside it, and buyers, each with an account of their own."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import requests
from werkzeug.test import TestResponse

from admin.assembled import ASSEMBLED, Assembled
from app import assemble
from auth.principal import Role
from capabilities.shop.orders.jobs import RELEASE
from config import load_settings
from database import db
from sandbox.stripe_server.server import StripeServer
from tests.capabilities.shop.products.catalogue import Catalogue
from tests.whole.environment import EVERYTHING, production_environment, stripe_environment

Answer = TypeVar("Answer")
ORDERS = "/api/shop/orders"
STAFFS_ORDERS = "/api/shop/admin/orders"
SHIP_TO = {
    "name": "Alice Example",
    "line1": "1 Sample Street",
    "city": "Springfield",
    "postal_code": "12345",
    "country": "US",
}


@dataclass
class Shop(Catalogue):
    """Each test has products and buyers of its own."""

    stripe: StripeServer

    @property
    def made(self) -> Assembled:
        made: Assembled = self.app.extensions[ASSEMBLED]
        return made

    def person(self) -> str:
        return self.register(Role.USER)

    def place(
        self, buyer: str, *lines: tuple[Mapping[str, Any], int], key: str | None = None, **fields: Any
    ) -> TestResponse:
        items = [{"product_id": product["id"], "quantity": quantity} for product, quantity in lines]
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.call("POST", ORDERS, buyer, json={"items": items, "ship_to": SHIP_TO, **fields}, headers=headers)

    def order(self, buyer: str, *lines: tuple[Mapping[str, Any], int], **fields: Any) -> dict[str, Any]:
        answer = self.place(buyer, *lines, **fields)
        assert answer.status_code == 201, answer.text
        return dict(answer.get_json())

    def shown(self, buyer: str, order: Mapping[str, Any]) -> dict[str, Any]:
        answer = self.get(f"{ORDERS}/{order['id']}", buyer)
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json())

    def cancel(self, buyer: str, order: Mapping[str, Any], **fields: Any) -> TestResponse:
        return self.call("POST", f"{ORDERS}/{order['id']}/cancel", buyer, json=fields)

    def move(self, order: Mapping[str, Any], status: str, **fields: Any) -> TestResponse:
        return self.call("PUT", f"{ORDERS}/{order['id']}/status", self.admin, json={"status": status, **fields})

    def begin_payment(self, buyer: str, order: Mapping[str, Any]) -> str:
        """Its id."""
        asked = {"order_id": order["id"]}
        answer = self.call("POST", "/api/payments/stripe/create-intent", buyer, json=asked)
        assert answer.status_code == 200, answer.text
        return str(answer.get_json()["id"])

    def pay_at_stripe(self, buyer: str, order: Mapping[str, Any]) -> None:
        """Nobody tells us."""
        intent = self.shown(buyer, order)["stripe_payment_intent_id"]
        answer = requests.post(
            f"{self.stripe.url}/v1/payment_intents/{intent}/confirm",
            data={"payment_method": "pm_card_visa"},
            auth=(self.stripe.secret_key, ""),
            timeout=10,
        )
        assert answer.json()["status"] == "succeeded", answer.text

    def pay(self, buyer: str, order: Mapping[str, Any]) -> None:
        confirmed = {"payment_id": self.begin_payment(buyer, order), "payment_method": "pm_card_visa"}
        answer = self.call("POST", "/api/payments/stripe/confirm", buyer, json=confirmed)
        assert answer.status_code == 200, answer.text

    def paid_order(self, buyer: str, *lines: tuple[Mapping[str, Any], int], **fields: Any) -> dict[str, Any]:
        order = self.order(buyer, *lines, **fields)
        self.pay(buyer, order)
        return self.shown(buyer, order)

    def free_order(self, buyer: str, **fields: Any) -> dict[str, Any]:
        """Of something that costs nothing, so it is confirmed already."""
        return self.order(buyer, (self.product(stock_quantity=3, price="0", ships=False), 1), **fields)

    def time_is_over(self, order: Mapping[str, Any]) -> None:
        self.rows("UPDATE shop_orders SET reserved_until = now() - interval '1 second' WHERE id = %s", order["id"])

    def release_unpaid(self) -> Any:
        with self.app.app_context():
            return self.made.jobs.declared[RELEASE].run()

    def stock(self, product: Mapping[str, Any]) -> int:
        (row,) = self.rows("SELECT stock_quantity FROM shop_products WHERE id = %s", product["id"])
        return int(row["stock_quantity"])

    def emails(self, template: str, number: str) -> list[dict[str, Any]]:
        """Those of the queue about that order."""
        jobs = self.rows("SELECT args FROM procrastinate_jobs WHERE task_name = 'send_email' ORDER BY id")
        return [
            row["args"]
            for row in jobs
            if row["args"]["template"].endswith(template) and row["args"]["values"].get("number") == number
        ]

    def assert_books_agree(self, *products: Mapping[str, Any]) -> None:
        """The sum of its movements is the stock of each, and each line was taken once and put back at most once."""
        for product in products:
            (row,) = self.rows(
                "SELECT coalesce(sum(delta), 0)::int AS sum FROM stock_movements WHERE product_id = %s", product["id"]
            )
            assert row["sum"] == self.stock(product) >= 0


def at_once(calls: Sequence[Callable[[], Answer]], threads: int = 16) -> list[Answer]:
    """Their answers, in their order. The first ones start together."""
    start = threading.Barrier(min(threads, len(calls)))
    begun = threading.Semaphore(min(threads, len(calls)))

    def run(call: Callable[[], Answer]) -> Answer:
        if begun.acquire(blocking=False):
            start.wait()
        return call()

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, calls))


@contextmanager
def running_shop(url: str, redis_url: str, stripe: StripeServer, **changes: str) -> Iterator[Shop]:
    environ = {
        **production_environment(url, "https://predict.example.com", redis_url),
        **EVERYTHING,
        **stripe_environment(stripe),
        "FLASK_ENV": "development",
        "CAPABILITIES": "shop",
        "BCRYPT_COST": "4",
        "DATABASE_POOL_SIZE": "16",
        "SHOP_SHIPPING_MINOR": "500",
        "SHOP_NOTIFY_EMAIL": "sales@example.com",
        "SHOP_ORDER_URL": "https://shop.example.com/orders",
        **changes,
    }
    app = assemble(load_settings(environ))
    try:
        yield Shop(app, url, stripe)
    finally:
        with app.app_context():
            db.engine.dispose()
        app.extensions[ASSEMBLED].auth.redis.close()


def ids(answer: TestResponse) -> list[UUID]:
    return [UUID(order["id"]) for order in answer.get_json()["orders"]]
