"""Fifty buyers of the last ones on two web processes, one of which may be killed in the middle: those are sold, and no more."""

import secrets
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice

import psutil
import pytest

from examples.private_server.server import PrivateServer
from sandbox.stripe_server.server import StripeServer
from tests.databases import ask
from tests.whole.buying import ORDERS, SHIP_TO, open_shop
from tests.whole.conftest import StartWebServer
from tests.whole.environment import ALL, production_environment, stripe_environment
from tests.whole.players import LOST
from tests.whole.web_server import Person, Reply, WebServer

BUYERS, STOCK = 50, 10
HELD = "request_still_running"


def order(server: WebServer, buyer: Person, product: str) -> Reply:
    """As apps do it: with the same key until there is an answer."""
    wanted, key = {"items": [{"product_id": product, "quantity": 1}], "ship_to": SHIP_TO}, secrets.token_urlsafe(16)
    while True:
        try:
            reply = server.post(ORDERS, wanted, buyer.access_token, headers={"Idempotency-Key": key})
        except LOST:
            time.sleep(0.05)
            continue
        if reply.status < 500 and (reply.status != 409 or reply.error != HELD):
            return reply


@pytest.mark.slow
def test_what_there_is_is_sold_and_no_more(
    *,
    start_web_server: StartWebServer,
    stripe: StripeServer,
    private: PrivateServer,
    database_url: str,
    redis_url: str,
) -> None:
    environ = {
        **production_environment(database_url, private.url, redis_url),
        **stripe_environment(stripe),
        "CAPABILITIES": ALL,
        "FLASK_ENV": "development",
        "BCRYPT_COST": "4",
    }
    server = start_web_server(environ)
    with ThreadPoolExecutor(4) as few:
        buyers = list(few.map(server.register, (f"buyer-{number}" for number in range(BUYERS))))
    calm, troubled = open_shop(server, server.register("admin"), database_url, products=2, stock=STOCK)
    assert_the_last_ones_are_sold(server, buyers, calm, database_url)
    assert_the_last_ones_are_sold(server, buyers, troubled, database_url, killed=server.workers()[0])


def assert_the_last_ones_are_sold(
    server: WebServer, buyers: Sequence[Person], product: str, database_url: str, killed: psutil.Process | None = None
) -> None:
    with ThreadPoolExecutor(BUYERS) as threads:
        asked = [threads.submit(order, server, buyer, product) for buyer in buyers]
        if killed is not None:
            list(islice(as_completed(asked), STOCK // 2))
            killed.kill()
        replies = [each.result() for each in asked]
    refused = {reply.error for reply in replies if reply.status == 409}
    assert (Counter(reply.status for reply in replies), refused) == (
        {201: STOCK, 409: BUYERS - STOCK},
        {"out_of_stock"},
    )
    told = {reply.json()["id"] for reply in replies if reply.status == 201}
    sold = f"SELECT order_id, quantity FROM shop_order_items WHERE product_id = '{product}'"
    assert {(str(order_id), quantity) for order_id, quantity in ask(database_url, sold)} == {(each, 1) for each in told}
    assert ask(database_url, f"SELECT stock_quantity FROM shop_products WHERE id = '{product}'") == [(0,)]
    assert ask(database_url, f"SELECT sum(delta) FROM stock_movements WHERE product_id = '{product}'") == [(0,)]
