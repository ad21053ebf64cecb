"""What the shop promised, sold, was paid and gave back must agree, line by line, also with what Stripe has in its books."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sandbox.stripe_server.server import StripeServer
from tests.conftest import administer
from tests.databases import ask
from tests.metering.limit_backends import eventually
from tests.whole.real_worker import RealWorker
from tests.whole.rows import Row, read

PAID_FOR = {"confirmed", "shipped", "delivered"}
SETTLING_JOBS = (
    "release_unpaid_orders",
    "release_reservations",
    "finish_refunds",
    "reconcile_billing",
    "sweep_billing_events",
)
ENQUEUE = """
    SELECT procrastinate_defer_jobs_v1(ARRAY[
        ROW('default', '{}', 20, NULL, NULL, '{{}}', NULL)::procrastinate_job_to_defer_v1
    ])
"""
OPEN = (
    "SELECT 1 FROM shop_orders WHERE status = 'pending' UNION ALL SELECT 1 FROM shop_refunds WHERE state = 'requested'"
)


def settle(database_url: str, stripe: StripeServer, worker: RealWorker) -> None:
    """Hours pass: what nobody paid ends, lost webhooks are made up for, and what failed is tried again."""
    stripe.faults.clear()
    stripe.outbox.deliver_pending()
    for statement in (
        "UPDATE shop_orders SET reserved_until = now() - interval '1 second' WHERE status = 'pending'",
        "UPDATE payments SET created_at = created_at - interval '1 hour', reserved_until = now() - interval '1 second'",
        "UPDATE shop_refunds SET created_at = created_at - interval '1 hour' WHERE state = 'requested'",
        "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 minute'",  # its own is the only one to go on
        "UPDATE billing_events SET next_attempt_at = now() WHERE state = 'received'",
    ):
        administer(database_url, statement)

    def is_settled() -> bool | None:
        for name in SETTLING_JOBS:
            administer(database_url, ENQUEUE.format(name))
        administer(database_url, "UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'")
        worker.wait_until_idle()
        stripe.outbox.deliver_pending()
        return ask(database_url, OPEN) == [] or None

    assert eventually(is_settled, 60)
    worker.wait_until_idle()


@dataclass(frozen=True)
class ShopBooks:
    """`moved`: by order line and kind, the sum of its movements. `paid`, `given_back`: at Stripe, by intent."""

    products: Sequence[Row]
    orders: Sequence[Row]
    lines: Mapping[str, Sequence[Row]]
    moved: Mapping[tuple[str, str], int]
    refunds: Mapping[str, Sequence[Row]]
    payments: Mapping[str, Sequence[Row]]
    paid: Mapping[str, int]
    given_back: Mapping[str, int]

    @classmethod
    def of(cls, database_url: str, stripe: StripeServer) -> "ShopBooks":
        products = """
            SELECT product.*, coalesce(sum(delta), 0)::bigint AS moved FROM shop_products AS product
            LEFT JOIN stock_movements AS movement ON movement.product_id = product.id GROUP BY product.id
        """
        movements = """
            SELECT order_item_id::text AS line, kind, count(*) AS rows, sum(delta)::bigint AS delta FROM stock_movements
            WHERE order_item_id IS NOT NULL GROUP BY order_item_id, kind
        """
        given_back: defaultdict[str, int] = defaultdict(int)
        for refund in stripe.books.all("refund"):
            given_back[refund["payment_intent"]] += refund["amount"] if refund["status"] == "succeeded" else 0
        succeeded = (each for each in stripe.books.all("payment_intent") if each["status"] == "succeeded")
        return cls(
            read(database_url, products),
            read(database_url, "SELECT *, id::text FROM shop_orders"),
            by(read(database_url, "SELECT *, id::text FROM shop_order_items"), "order_id"),
            {(row["line"], row["kind"]): row["delta"] for row in read(database_url, movements)},
            by(read(database_url, "SELECT * FROM shop_refunds WHERE state = 'done'"), "order_id"),
            by(read(database_url, "SELECT * FROM payments WHERE purchase_kind = 'order'"), "purchase_id"),
            {each["id"]: each["amount"] for each in succeeded},
            given_back,
        )

    def assert_nothing_is_oversold(self) -> None:
        """Each line was taken once, and put back once and whole when its order was cancelled."""
        for product in self.products:
            assert product["stock_quantity"] == product["moved"] >= 0, product
        for order in self.orders:
            for line in self.lines[order["id"]]:
                returned = self.moved.get((line["id"], "return"), 0)
                released = line["quantity"] - returned if order["status"] == "cancelled" else 0
                assert self.moved[line["id"], "reserve"] == -line["quantity"], order
                assert self.moved.get((line["id"], "release"), 0) == released, order
                assert returned <= line["refunded_quantity"], order

    def assert_money_is_where_it_belongs(self) -> None:
        """A paid order has its price, without what was given back. All other money went back. Nothing is sold unpaid."""
        known = set()
        for order in self.orders:
            assert order["status"] != "pending", order
            intents = [each["external_id"] for each in self.payments.get(order["id"], ())]
            known.update(intents)
            kept = [self.paid[each] - self.given_back.get(each, 0) for each in intents if each in self.paid]
            expected = order["total_minor"] - order["refunded_minor"] if order["status"] in PAID_FOR else 0
            assert sum(kept) == expected, (order, kept)
            assert order["status"] not in PAID_FOR or kept, order
            given = sum(each["amount_minor"] for each in self.refunds.get(order["id"], ()))
            assert given == order["refunded_minor"], order
        assert set(self.paid) <= known

    def assert_buyers_were_told_the_truth(self, placed: set[str]) -> None:
        assert placed <= {order["id"] for order in self.orders}


def by(rows: Sequence[Row], column: str) -> Mapping[str, Sequence[Row]]:
    grouped: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[str(row[column])].append(row)
    return grouped
