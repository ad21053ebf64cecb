"""What the shop is watched by: orders and refunds that move, and those that wait for something."""

from typing import Final

from capabilities.shop.refunds.record import LATE_MONEY
from database.figures import Figure

HOUR_AGO: Final = (
    "rpad(lpad(to_hex((extract(epoch FROM clock_timestamp() - interval '1 hour') * 1000)::bigint), 12, '0'), 32, '0')::uuid"
)
"""The lowest id of version 7 of the last hour, so that the primary key finds the rows."""

MOVES = Figure(
    "mirroros_shop_order_moves_last_hour",
    "Moves of orders within the last hour, by the status that they led to; pending: placed",
    f"""SELECT always.status, count(event.id)
        FROM unnest(ARRAY['pending', 'confirmed', 'shipped', 'delivered', 'cancelled']) AS always (status)
        LEFT JOIN shop_order_events AS event ON event.to_status = always.status AND event.id >= {HOUR_AGO}
        GROUP BY always.status""",  # nosec B608 # noqa: S608 - a constant
    labels=("status",),
)
OPEN_ORDERS = Figure(
    "mirroros_shop_open_orders",
    "Orders that wait, by status: pending for their payment, confirmed to be shipped",
    """SELECT always.status, count(placed.id) FROM unnest(ARRAY['pending', 'confirmed']) AS always (status)
       LEFT JOIN shop_orders AS placed ON placed.status = always.status GROUP BY always.status""",
    labels=("status",),
)
OVERDUE_SECONDS = Figure(
    "mirroros_shop_reservation_overdue_seconds",
    "For how long the unpaid order that is overdue longest holds its goods beyond its time",
    """SELECT greatest(0, coalesce(extract(epoch FROM clock_timestamp() - min(reserved_until)), 0))
       FROM shop_orders WHERE status = 'pending'""",
)
REFUNDS = Figure(
    "mirroros_shop_refunds_last_hour",
    "Refunds that were requested within the last hour, by what became of them",
    f"""SELECT always.state, count(refund.id) FROM unnest(ARRAY['requested', 'done', 'failed']) AS always (state)
        LEFT JOIN shop_refunds AS refund ON refund.state = always.state AND refund.id >= {HOUR_AGO}
        GROUP BY always.state""",  # nosec B608 # noqa: S608 - a constant
    labels=("state",),
)
REFUND_WAITS_SECONDS = Figure(
    "mirroros_shop_refund_waits_seconds",
    "How long the refund that has waited longest is requested and not done",
    """SELECT coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0) FROM shop_refunds
       WHERE state = 'requested'""",
)
LATE = Figure(
    "mirroros_shop_late_money_total",
    "Payments that arrived after their order had ended. The money goes back by itself",
    f"SELECT coalesce(sum(count), 0) FROM billing_counts WHERE name = '{LATE_MONEY}'",  # nosec B608 # noqa: S608 - a constant
    kind="counter",
)
SHOP_FIGURES: Final = (LATE, MOVES, OPEN_ORDERS, OVERDUE_SECONDS, REFUNDS, REFUND_WAITS_SECONDS)
