"""Fifty buyers of the last ones on two web processes, one of which may be killed in the middle: those are sold, and no more."""

import secrets
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest

from examples.private_server.server import PrivateServer
from sandbox.stripe_server.server import StripeServer
from tests.databases import ask
from tests.whole.buying import ORDERS, SHIP_TO, open_shop
from tests.whole.conftest import StartWebServer
from tests.whole.environment import production_environment, stripe_environment
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
            continue
        if reply.status < 500 and (reply.status != 409 or reply.error != HELD):
            return reply


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True], ids=["two processes", "one of them killed"])
def test_what_there_is_is_sold_and_no_more(
    *,
    start_web_server: StartWebServer,
    stripe: StripeServer,
    private: PrivateServer,
    database_url: str,
    redis_url: str,
    killed: bool,
) -> None:
    environ = {
        **production_environment(database_url, private.url, redis_url),
        **stripe_environment(stripe),
        "FLASK_ENV": "development",
        "BCRYPT_COST": "4",
    }
    server = start_web_server(environ)
    with ThreadPoolExecutor(BUYERS) as threads:
        buyers = list(threads.map(server.register, (f"buyer-{number}" for number in range(BUYERS))))
        (product,) = open_shop(server, server.register("admin"), database_url, products=1, stock=STOCK)
        asked = [threads.submit(order, server, buyer, product) for buyer in buyers]
        first = as_completed(asked)
        if killed:
            for _ in range(STOCK // 2):
                next(first)
            server.workers()[0].kill()
        replies = [each.result() for each in asked]
    refused = {reply.error for reply in replies if reply.status == 409}
    assert (Counter(reply.status for reply in replies), refused) == (
        {201: STOCK, 409: BUYERS - STOCK},
        {"out_of_stock"},
    )
    told = {reply.json()["id"] for reply in replies if reply.status == 201}
    assert len(told) == STOCK
    assert {str(each) for (each,) in ask(database_url, "SELECT id FROM shop_orders")} == told
    assert ask(database_url, "SELECT stock_quantity FROM shop_products") == [(0,)]
    assert ask(database_url, "SELECT sum(delta) FROM stock_movements") == [(0,)]
