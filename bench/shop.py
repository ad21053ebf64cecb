"""What the shop costs: orders that all want one product against orders of many, an order against a prediction, and the catalogue.

It fails when a stock is not what its orders left of it.
"""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage
from ipaddress import IPv4Address
from statistics import median
from time import perf_counter
from types import MappingProxyType
from urllib.parse import urlencode
from uuid import UUID

import psycopg2
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - it is a class

from app import assemble
from auth.tiers import Tier
from bench.callers import HOST, prediction_requests
from bench.compare import (
    CONNECTIONS,
    HEADINGS,
    Contender,
    Figures,
    medians,
    nothing_failed,
    one_round,
    row,
    speed,
    spread,
    work,
)
from bench.load import Load, run
from bench.processors import Processors
from bench.services import Services, private_server
from bench.targets import Addresses, gateway_target
from bench.web_server import WebServer, web_server
from capabilities.shop.products.audit_stock import StockAudit
from config import load_settings
from database import db

PRODUCTS = "/api/shop/products"
HOT, COLD, PREDICTION = "hot", "cold", "predict"
LIVE, CATALOGUE, UNCHANGED = "live", "products", "304"
PLENTY = 1_000_000
READERS = 50_000
"""Network addresses. An address that reads more than a tenth of its limit in a minute is counted in Redis, which few do."""
SORTS = ("newest", "price", "name")
SELL_OUT_SECONDS = 4.0
MOST_ANSWER_SECONDS = 30.0
SHIP_TO = {
    "name": "Alice Example",
    "line1": "1 Sample Street",
    "city": "Springfield",
    "postal_code": "12345",
    "country": "US",
}
FILL = (
    """
    INSERT INTO shop_products (
        id, name, description, price_minor, currency, category, sku, stock_quantity, created_at, updated_at
    )
    SELECT lpad(to_hex(n), 32, '0')::uuid, 'Bonsai ' || n * 7919 %% 20011, 'A tree in a pot, number ' || n,
           1000 + n * 7927 %% 9973, 'usd', 'category ' || n %% 20, 'B-' || n, %(stock)s, now(), now()
    FROM generate_series(1, %(rows)s) AS n
    """,
    """
    INSERT INTO stock_movements (id, product_id, delta, kind, at)
    SELECT id, id, stock_quantity, 'initial', now() FROM shop_products
    """,
    "VACUUM (ANALYZE)",
)
WRONG = """
    SELECT count(*) FROM shop_products AS product
    WHERE stock_quantity <> (SELECT sum(delta) FROM stock_movements WHERE product_id = product.id)
       OR stock_quantity <> (SELECT sum(delta) FROM stock_movements WHERE product_id = product.id AND kind = 'initial')
           - (SELECT coalesce(sum(quantity), 0) FROM shop_order_items WHERE product_id = product.id)
"""
"""Products whose stock is not what there was without what was ordered. Nothing is cancelled here."""


@dataclass(frozen=True)
class Sizes:
    """`last_page`: of `page` products each. `few`: the stock that is sold out."""

    callers: int = 3000
    products: int = 50_000
    rounds: int = 6
    page: int = 50
    last_page: int = 1000
    looks: int = 51
    few: int = 200


USUAL = Sizes()


class Oversold(Exception):
    """The message says what of."""


def shop(services: Services, processors: Processors, sizes: Sizes = USUAL) -> bool:
    """Print the figures. False when a request failed. Raises Oversold."""
    with ExitStack() as stack:
        secret = secrets.token_urlsafe(48)
        private_url = stack.enter_context(private_server(secret=secret, delay_ms=0))
        database_url = services.postgres.ensure_database("shop")
        target = gateway_target(Addresses(database_url, services.redis_url(12), private_url, secret))
        tokens = target.tokens(sizes.callers, Tier.ENTERPRISE)  # it migrates the database
        cursor = stack.enter_context(cursor_of(database_url))
        for statement in FILL:
            cursor.execute(statement, {"rows": sizes.products, "stock": PLENTY})
        environment = {
            **target.environment,
            "CAPABILITIES": "predict,shop",
            "STRIPE_SECRET_KEY": f"sk_live_{secrets.token_hex(16)}",
            "STRIPE_WEBHOOK_SECRET": f"whsec_{secrets.token_hex(20)}",
            "STRIPE_PRICES": "price_1Pro:pro:monthly",
            "SHOP_MAX_OPEN_ORDERS": "100",
            "TRUSTED_PROXY_HOPS": "1",
        }
        server = stack.enter_context(
            web_server("shop", target.command, environment, first_request=get("/health/live"), processors=processors)
        )
        succeeded = compare_orders(services, server, tokens, cursor, sizes)
        sell_out(server, tokens, cursor, sizes)
        require_a_clean_audit(environment)
        leaf_through(server, sizes)
        return succeeded


@contextmanager
def cursor_of(database_url: str) -> Iterator[Cursor]:
    with closing(psycopg2.connect(database_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


def compare_orders(services: Services, server: WebServer, tokens: Sequence[str], cursor: Cursor, sizes: Sizes) -> bool:
    """Each caller has a product of its own, and one is wanted by all."""
    others = [product_id(2 + number % (sizes.products - 1)) for number in range(len(tokens))]
    addresses = [new_address() for _ in range(READERS)]
    etag = etag_of(server, PRODUCTS)
    contenders = [
        Contender(HOT, server, [order_request(token, product_id(1)) for token in tokens], 201),
        Contender(COLD, server, list(map(order_request, tokens, others)), 201),
        Contender(PREDICTION, server, prediction_requests(tokens)),
        Contender(LIVE, server, [get("/health/live")]),
        Contender(CATALOGUE, server, [get(PRODUCTS, each) for each in addresses]),
        Contender(UNCHANGED, server, [get(PRODUCTS, each, {"If-None-Match": etag}) for each in addresses], 304),
    ]
    measured: dict[str, list[Figures]] = {each.name: [] for each in contenders}
    print(HEADINGS)
    for number in range(1, sizes.rounds + 1):
        for contender in contenders if number % 2 else reversed(contenders):
            measured[contender.name].append(one_round(services, contender))
            print(row(str(number), contender.name, measured[contender.name][-1]), flush=True)
        require_nothing_oversold(cursor)
    for name, rounds in measured.items():
        print(row("all", name, medians(rounds)))
    tails = spread([each.p99_ms / each.p50_ms for each in measured[HOT]])
    print(f"orders/s, one product / each its own:         {speed(measured, HOT, COLD)}   (to reach: at least 0.4)")
    print(f"one product, p99 / p50:                       {tails}   (to reach: at most 5)")
    print(f"worker processor time, an order / prediction: {work(measured, COLD, PREDICTION)}   (to reach: at most 2.5)")
    print(
        f"requests/s, products / health:                {speed(measured, CATALOGUE, LIVE)}   (to reach: at least 0.4)"
    )
    print(
        f"requests/s, products unchanged / health:      {speed(measured, UNCHANGED, LIVE)}   (to reach: at least 0.6)"
    )
    return nothing_failed(measured)


def sell_out(server: WebServer, tokens: Sequence[str], cursor: Cursor, sizes: Sizes) -> None:
    """More want a product than there are: exactly those are sold."""
    scarce = str(UUID(int=2**64))
    cursor.execute(
        """
        INSERT INTO shop_products (id, name, price_minor, currency, stock_quantity, created_at, updated_at)
        VALUES (%(id)s, 'The last ones', 1000, 'usd', %(stock)s, now(), now())
        """,
        {"id": scarce, "stock": sizes.few},
    )
    cursor.execute(
        "INSERT INTO stock_movements (id, product_id, delta, kind, at) VALUES (%(id)s, %(id)s, %(stock)s, 'initial', now())",
        {"id": scarce, "stock": sizes.few},
    )
    requests = [order_request(token, scarce) for token in tokens]
    outcome = run(
        Load(server.port, requests, CONNECTIONS, warm_up=0, window=SELL_OUT_SECONDS, wanted=201), lambda: None
    )
    require_nothing_oversold(cursor)
    cursor.execute("SELECT stock_quantity FROM shop_products WHERE id = %s", (scarce,))
    (left,) = cursor.fetchone() or (None,)
    print(f"{sizes.few} for sale, answers {dict(outcome.statuses)}, {left} left", flush=True)
    if left != 0 or outcome.accepted > sizes.few or set(outcome.statuses) - {201, 409}:
        raise Oversold(f"{dict(outcome.statuses)} of {sizes.few}, {left} left")


def require_nothing_oversold(cursor: Cursor) -> None:
    cursor.execute(WRONG)
    (wrong,) = cursor.fetchone() or (0,)
    if wrong:
        raise Oversold(f"{wrong} products have a stock that does not fit their orders")


def require_a_clean_audit(environment: Mapping[str, str]) -> None:
    """As `flask shop audit` does it."""
    with assemble(load_settings(environment)).app_context():
        wrong = list(StockAudit().drifts())
        db.engine.dispose()
    if wrong:
        raise Oversold(f"the audit names {wrong}")


def leaf_through(server: WebServer, sizes: Sizes) -> None:
    """The last page of each order against the first."""
    print(f"page {sizes.last_page:,} of {sizes.products:,} products / page 1, ms, medians of {sizes.looks}")
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=MOST_ANSWER_SECONDS)) as connection:
        for sort in SORTS:
            query = {"sort": sort, "limit": str(sizes.page)}
            first = last = f"{PRODUCTS}?{urlencode(query)}"
            for _ in range(sizes.last_page - 1):
                cursor = json.loads(answered(connection, last)[1])["next_cursor"]
                last = f"{PRODUCTS}?{urlencode({**query, 'cursor': cursor})}"
            took = [(milliseconds(connection, first), milliseconds(connection, last)) for _ in range(sizes.looks)]
            one, other = (median(times) for times in zip(*took, strict=True))
            ratio = median(late / early for early, late in took)
            print(f"  {sort:<8}{one:8.2f}{other:8.2f}  ratio {ratio:.2f}   (to reach: at most 1.5)", flush=True)


def milliseconds(connection: HTTPConnection, path: str) -> float:
    began = perf_counter()
    answered(connection, path)
    return (perf_counter() - began) * 1000


def answered(connection: HTTPConnection, path: str) -> tuple[HTTPMessage, bytes]:
    connection.request("GET", path, headers={"Host": HOST, **from_address(new_address())})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {body[:300].decode(errors='replace')}")
    return answer.headers, body


def etag_of(server: WebServer, path: str) -> str:
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=MOST_ANSWER_SECONDS)) as connection:
        return answered(connection, path)[0]["ETag"]


def product_id(number: int) -> str:
    return str(UUID(int=number))


def order_request(token: str, product: str) -> bytes:
    """A prepared `POST /api/shop/orders` of one."""
    body = json.dumps({"items": [{"product_id": product, "quantity": 1}], "ship_to": SHIP_TO}).encode()
    lines = (
        "POST /api/shop/orders HTTP/1.1",
        f"Host: {HOST}",
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        "Accept: application/json",
        "User-Agent: MirrorOS/1.0 (iOS)",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*lines, "", "")).encode() + body


def get(path: str, address: str | None = None, headers: Mapping[str, str] = MappingProxyType({})) -> bytes:
    sent = {"Host": HOST, **({} if address is None else from_address(address)), **headers}
    lines = (f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()))
    return "\r\n".join((*lines, "", "")).encode()


def new_address() -> str:
    """Readers without an account have a limit for each, so there are many."""
    return str(IPv4Address(0x0A000000 | secrets.randbits(24)))


def from_address(address: str) -> dict[str, str]:
    """As a proxy says it."""
    return {"X-Forwarded-For": address, "X-Forwarded-Proto": "https"}
