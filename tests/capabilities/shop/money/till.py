"""The shop beside the stand-in for Stripe: who buys, what Stripe tells us, and what the worker does."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import requests
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from psycopg2.extras import RealDictCursor
from werkzeug.test import TestResponse

from admin.assembled import ASSEMBLED
from app import assemble
from auth.principal import Role
from capabilities.shop.orders.payment_status import payment_status
from config import load_settings
from database import db, reading
from database.base import utc_now, uuid7
from database.jobs.declare import Jobs
from payments.apply_stripe_event import HANDLERS
from payments.assembly import Payments
from sandbox.stripe_server.protocol.response_shapes import Object
from sandbox.stripe_server.server import StripeServer
from tests.capabilities.shop.products.catalogue import Catalogue
from tests.whole.environment import production_environment, stripe_environment

GOOD, DEBIT = "pm_card_visa", "pm_usBankAccount_success"
CREATE_INTENT, CONFIRM = "/api/payments/stripe/create-intent", "/api/payments/stripe/confirm"
PROOF_SECONDS = 200
"""A proof is fresh for a little longer."""


@dataclass
class Till(Catalogue):
    """Its database is shared by all tests of payments and refunds: each has products and orders of its own."""

    stripe: StripeServer
    _proved_at: float = field(default_factory=time.monotonic)

    @cached_property
    def alice(self) -> str:
        return self.register(Role.USER)

    @cached_property
    def alice_id(self) -> str:
        return str(self.get("/api/auth/profile", self.alice).get_json()["id"])

    @property
    def treasurer(self) -> str:
        """The token of an admin whose proof is fresh."""
        if time.monotonic() - self._proved_at > PROOF_SECONDS:
            self.__dict__.pop("admin", None)
            self._proved_at = time.monotonic()
        return self.admin

    def order(
        self, *quantities: int, price: int = 1000, stock: int = 10, shipping: int = 0, **columns: Any
    ) -> "Placed":
        """Alice's, with a line for each quantity of a product of its own."""
        products = [str(uuid7()) for _ in quantities]
        for product in products:
            self.rows(
                """WITH made AS (INSERT INTO shop_products (id, name, price_minor, currency, stock_quantity, created_at, updated_at)
                        VALUES (%s, 'Juniper', %s, 'usd', %s, now(), now()) RETURNING id, stock_quantity)
                    INSERT INTO stock_movements (id, product_id, delta, kind, at)
                    SELECT gen_random_uuid(), id, stock_quantity, 'initial', now() FROM made""",
                product,
                price,
                stock,
            )
        order, now = uuid7(), utc_now()
        total = price * sum(quantities) + shipping
        number = "".join(secrets.choice("0123456789ABCDEFGHJKMNPQRSTVWXYZ") for _ in range(8))
        made = {
            "user_id": self.alice_id,
            "number": f"{number[:4]}-{number[4:]}",
            "status": "pending",
            "total_minor": total,
            "currency": "usd",
            "shipping_minor": shipping,
            "reserved_until": now + timedelta(minutes=30),
            "placed_at": now,
            "updated_at": now,
        } | columns
        self.rows(
            f"INSERT INTO shop_orders (id, {', '.join(made)}) VALUES ({', '.join(['%s'] * (len(made) + 1))})",
            str(order),
            *made.values(),
        )
        items = []
        for product, quantity in zip(products, quantities, strict=True):
            items.append(str(uuid7()))
            self.rows(
                """WITH item AS (INSERT INTO shop_order_items (id, order_id, product_id, name, unit_price_minor, quantity)
                        VALUES (%s, %s, %s, 'Juniper', %s, %s) RETURNING id, product_id, quantity),
                    taken AS (UPDATE shop_products SET stock_quantity = stock_quantity - %s WHERE id = %s)
                    INSERT INTO stock_movements (id, product_id, delta, kind, order_item_id, at)
                    SELECT gen_random_uuid(), product_id, -quantity, 'reserve', id, now() FROM item""",
                items[-1],
                str(order),
                product,
                price,
                quantity,
                quantity,
                product,
            )
        return Placed(self, str(order), products, items)

    @cached_property
    def connection(self) -> Connection:
        connection = psycopg2.connect(self.url, cursor_factory=RealDictCursor)
        connection.autocommit = True
        return connection

    def rows(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return [dict(row) for row in cursor.fetchall()] if cursor.description else []

    @property
    def payments(self) -> Payments:
        payments: Payments = self.app.extensions[ASSEMBLED].payments
        return payments

    def jobs(self) -> Jobs:
        jobs: Jobs = self.app.extensions[ASSEMBLED].jobs
        return jobs

    def run_job(self, name: str, **arguments: Any) -> Any:
        with self.app.app_context():
            return self.jobs().declared[name].run(**arguments)

    def work(self) -> int:
        """What is enqueued but for e-mails, until nothing is left."""
        done = 0
        while taken := self.rows(
            "DELETE FROM procrastinate_jobs WHERE task_name <> 'send_email' RETURNING task_name, args"
        ):
            for row in taken:
                self.run_job(row["task_name"], **row["args"])
            done += len(taken)
        return done

    def deliver(self, *, times: int = 1) -> None:
        """Stripe tells us what happened, and the worker does what follows."""
        while due := self.stripe.outbox.forget_pending():
            for each in due * times:
                headers = {"Stripe-Signature": self.stripe.outbox.signature(each.body)}
                answer = self.call(
                    "POST",
                    "/api/payments/stripe/webhook",
                    data=each.body,
                    headers=headers,
                    content_type="application/json",
                )
                assert answer.status_code == 200, answer.text
            self.work()

    def control(self, action: str, **body: Any) -> Any:
        answer = requests.post(f"{self.stripe.url}/controls/{action}", json=body, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def counted(self, name: str) -> int:
        rows = self.rows("SELECT count FROM billing_counts WHERE name = %s", name)
        return rows[0]["count"] if rows else 0


@dataclass
class Placed:
    """An order of Alice's, with its products and its lines in the same sequence."""

    till: Till
    id: str
    products: list[str]
    items: list[str]

    @property
    def row(self) -> dict[str, Any]:
        return self.till.rows("SELECT * FROM shop_orders WHERE id = %s", self.id)[0]

    @property
    def status(self) -> str:
        return str(self.row["status"])

    @property
    def stock(self) -> list[int]:
        """Of each product. It agrees with the ledger whenever it is looked at."""
        stocks = []
        for product in self.products:
            [found] = self.till.rows(
                """SELECT stock_quantity AS stock, (SELECT sum(delta) FROM stock_movements WHERE product_id = p.id) AS moved
                    FROM shop_products p WHERE id = %s""",
                product,
            )
            assert found["stock"] == found["moved"]
            stocks.append(found["stock"])
        return stocks

    @property
    def payments(self) -> list[dict[str, Any]]:
        return self.till.rows("SELECT * FROM payments WHERE purchase_id = %s ORDER BY id", self.id)

    @property
    def refunds(self) -> list[dict[str, Any]]:
        return self.till.rows("SELECT * FROM shop_refunds WHERE order_id = %s ORDER BY id", self.id)

    @property
    def payment_status(self) -> str:
        with self.till.app.app_context(), reading() as session:
            return payment_status(session, UUID(self.id)).value

    @property
    def intent(self) -> Object:
        """At Stripe."""
        return self.till.stripe.books.get("payment_intent", self.payments[-1]["external_id"])

    @property
    def charge(self) -> Object:
        return self.till.stripe.books.get("charge", self.intent["latest_charge"])

    def given_back(self) -> int:
        """At Stripe."""
        refunds = self.till.stripe.books.all("refund", payment_intent=self.intent["id"])
        return sum(each["amount"] for each in refunds if each["status"] == "succeeded")

    def begin(self, token: str | None = None, key: str | None = None) -> TestResponse:
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.till.call(
            "POST", CREATE_INTENT, token or self.till.alice, json={"order_id": self.id}, headers=headers
        )

    def confirm(self, method: str = GOOD) -> TestResponse:
        body = {"payment_id": str(self.payments[-1]["id"]), "payment_method": method}
        return self.till.call("POST", CONFIRM, self.till.alice, json=body)

    def pay(self) -> "Placed":
        assert self.begin().status_code == 200
        answer = self.confirm()
        assert (answer.status_code, answer.get_json()["status"]) == (200, "succeeded"), answer.text
        return self

    def pay_at_stripe(self) -> None:
        """On the buyer's device: we are told later, or not at all."""
        with self.till.app.app_context():
            assert self.till.payments.stripe is not None
            self.till.payments.stripe.handler.confirm_intent(self.intent["id"], GOOD)

    def cancel(self) -> None:
        answer = self.till.call("POST", f"/api/shop/orders/{self.id}/cancel", self.till.alice, json={})
        assert (answer.status_code, answer.get_json()["status"]) == (200, "cancelled"), answer.text

    def refund(self, key: str | None = "", token: str | None = None, **body: Any) -> TestResponse:
        """`key`: one of its own unless given; None for none."""
        headers = {} if key is None else {"Idempotency-Key": key or str(uuid4())}
        sent = {"reason": "Arrived broken", **body}
        path = f"/api/shop/orders/{self.id}/refunds"
        return self.till.call("POST", path, token or self.till.treasurer, json=sent, headers=headers)

    def give_back(self, quantity: int, *, restock: bool = True, key: str = "", line: int = 0) -> TestResponse:
        item = {"order_item_id": self.items[line], "quantity": quantity, "restock": restock}
        return self.refund(key, items=[item])


@contextmanager
def running_till(url: str, redis_url: str | None = None) -> Iterator[Till]:
    stripe = StripeServer(signing_clock=utc_now)
    stripe.outbox.wants = HANDLERS.__contains__
    stripe.start()
    environ = {
        **production_environment(url, "https://predict.example.com", redis_url),
        **stripe_environment(stripe),
        "FLASK_ENV": "development",
        "CAPABILITIES": "shop",
        "EMAIL_HOST": "127.0.0.1",
        "DEFAULT_FROM_EMAIL": "shop@example.com",
    }
    app = assemble(load_settings(environ))
    till = Till(app, url, stripe)
    try:
        yield till
    finally:
        till.connection.close()
        with app.app_context():
            db.engine.dispose()
        stripe.stop()
