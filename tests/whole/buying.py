"""Customers of the shop, who pay, leave and cancel, and a member of the staff who ships and gives money back."""

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from random import Random
from typing import Any

from sandbox.stripe_server.protocol.faults import Trouble
from tests.conftest import administer
from tests.whole.players import LOST, Players, Refused
from tests.whole.web_server import Person, Reply, WebServer

PRODUCTS = "/api/shop/products"
ORDERS = "/api/shop/orders"
STAFFS_ORDERS = "/api/shop/admin/orders"
CREATE_INTENT = "/api/payments/stripe/create-intent"
CONFIRM = "/api/payments/stripe/confirm"
GOOD_CARD, DECLINED_CARD = "pm_card_visa", "pm_card_chargeDeclined"
DECLINED = "card declined"
STOCK = 12
"""Of each product: soon there is none, and what is given back is wanted."""
PROOF_SECONDS = 270
"""For so long after signing in the staff may give money back."""
SHIP_TO = {
    "name": "Alice Example",
    "line1": "1 Sample Street",
    "city": "Springfield",
    "postal_code": "12345",
    "country": "US",
}
TROUBLES = (Trouble.SERVER_ERROR, Trouble.RATE_LIMIT, Trouble.LOCK_TIMEOUT, Trouble.RESET, Trouble.LOST_ANSWER)
AGAIN = {502, 503, 504}
MOST_TRIES = 20
"""A key that a killed process held is free after a minute. Nobody waits for that."""


def open_shop(
    server: WebServer, staff: Person, database_url: str, *, products: int = 4, stock: int = STOCK
) -> Sequence[str]:
    """The products' ids. `staff` becomes an admin."""
    promoted = f"UPDATE users SET role = 'admin', state_version = state_version + 1 WHERE id = '{staff.user_id}'"
    administer(database_url, promoted)
    made = []
    for number in range(products):
        product = {"name": f"Bonsai {number}", "price_minor": 1000 + number, "stock_quantity": stock}
        reply = server.post(PRODUCTS, product, staff.access_token)
        assert reply.status == 201, reply.body
        made.append(reply.json()["id"])
    return made


class Buying(Players):
    """Whoever asks is one of all `people`: each may place ten orders a minute. `placed`: the orders that buyers were told of."""

    def __init__(self, people: Sequence[Person], over: threading.Event, products: Sequence[str], staff: Person) -> None:
        super().__init__(people, over)
        self.placed: set[str] = set()
        self._people = people
        self._products = products
        self._staff = staff
        self._proof_ends = time.monotonic() + PROOF_SECONDS

    def ask(self, server: WebServer, person: Person, chance: Random) -> None:
        person = chance.choice(self._people)
        ways: Mapping[Callable[[WebServer, Person, Random], None], int] = {
            self.buy: 5,
            self.walk_away: 2,
            self.cancel: 2,
            self.cancel_while_paying: 3,
            self.cancel_what_is_paid: 2,
            self.ship: 2,
            self.give_back: 3,
        }
        (way,) = chance.choices(list(ways), weights=list(ways.values()))
        way(server, person, chance)

    def buy(self, server: WebServer, person: Person, chance: Random) -> None:
        self._pay(server, person, chance, self._place(server, person, chance))

    def walk_away(self, server: WebServer, person: Person, chance: Random) -> None:
        order = self._place(server, person, chance)
        if chance.random() < 0.5:
            self._answered(server, "POST", CREATE_INTENT, {"order_id": order}, person)

    def cancel(self, server: WebServer, person: Person, chance: Random) -> None:
        order = self._place(server, person, chance)
        if chance.random() < 0.5:
            self._answered(server, "POST", CREATE_INTENT, {"order_id": order}, person)
        self._cancel(server, person, order)

    def cancel_while_paying(self, server: WebServer, person: Person, chance: Random) -> None:
        order = self._place(server, person, chance)
        with ThreadPoolExecutor(1) as other:
            cancelled = other.submit(self._cancel, server, person, order)
            try:
                self._pay(server, person, chance, order)
            finally:
                cancelled.result()

    def cancel_what_is_paid(self, server: WebServer, person: Person, chance: Random) -> None:
        order = self._place(server, person, chance)
        self._pay(server, person, chance, order)
        self._cancel(server, person, order)

    def ship(self, server: WebServer, person: Person, chance: Random) -> None:
        order = self._one_of(server, "confirmed", chance)
        if order is not None:
            path, body = f"{ORDERS}/{order['id']}/status", {"status": "shipped", "tracking": "T-1"}
            self._answered(server, "PUT", path, body, self._staff)

    def give_back(self, server: WebServer, person: Person, chance: Random) -> None:
        """A line with its goods, or a part of the money."""
        order = self._one_of(server, chance.choice(("confirmed", "shipped")), chance)
        if order is None or time.monotonic() > self._proof_ends:
            return
        line = chance.choice(order["items"])
        body: dict[str, Any] = {"reason": "It arrived broken", "amount": "1.00"}
        if chance.random() < 0.7:
            body = {"reason": "Sent back", "items": [{"order_item_id": line["id"], "quantity": 1, "restock": True}]}
        self._answered(server, "POST", f"{ORDERS}/{order['id']}/refunds", body, self._staff)

    def _place(self, server: WebServer, person: Person, chance: Random) -> str:
        """Of one to three products, in any order and twice the same at times."""
        lines = [
            {"product_id": chance.choice(self._products), "quantity": chance.randint(1, 2)}
            for _ in range(chance.randint(1, 3))
        ]
        reply = self._answered(server, "POST", ORDERS, {"items": lines, "ship_to": SHIP_TO}, person)
        order: str = reply.json()["id"]
        self.placed.add(order)
        return order

    def _pay(self, server: WebServer, person: Person, chance: Random, order: str) -> None:
        payment = self._answered(server, "POST", CREATE_INTENT, {"order_id": order}, person).json()["id"]
        card = DECLINED_CARD if chance.random() < 0.1 else GOOD_CARD
        self._answered(server, "POST", CONFIRM, {"payment_id": payment, "payment_method": card}, person)

    def _cancel(self, server: WebServer, person: Person, order: str) -> None:
        try:
            self._answered(server, "POST", f"{ORDERS}/{order}/cancel", {}, person)
        except LOST:
            self.note("connection lost")
        except Refused as refusal:
            self.note(str(refusal))

    def _one_of(self, server: WebServer, status: str, chance: Random) -> dict[str, Any] | None:
        listed = self._answered(server, "GET", f"{STAFFS_ORDERS}?status={status}&limit=10", None, self._staff).json()
        found: dict[str, Any] | None = chance.choice(listed["orders"] or [None])
        return found

    def _answered(self, server: WebServer, method: str, path: str, body: object, person: Person) -> Reply:
        """Asks again with the same key while the service is in trouble. Raises Refused, and LOST when all is over."""
        headers = {"Idempotency-Key": secrets.token_urlsafe(16)} if method == "POST" else {}
        for tries in count(1):
            try:
                reply = server.ask(method, path, body, person.access_token, headers=headers)
            except LOST:
                if self.over.is_set():
                    raise
                self.note("connection lost")
                continue
            if reply.status in {200, 201}:
                self.note(str(reply.status))
                return reply
            if reply.status == 402:
                self.note(DECLINED)
                return reply
            refusal = Refused(reply.status, reply.error)
            again = reply.status in AGAIN or reply.error == "request_still_running"
            if not again or tries == MOST_TRIES or self.over.wait(0.1):
                raise refusal
            self.note(str(refusal))
        raise AssertionError("count has no end")
