"""What is done for the catalogue in the background."""

from collections.abc import Sequence
from functools import partial

import structlog

from capabilities.shop.products.audit_stock import StockAudit
from capabilities.shop.products.metrics import DRIFT
from database import transaction
from database.base import Clock
from database.jobs.declare import Job
from payments.billing.counts import count


def product_jobs(clock: Clock) -> Sequence[Job]:
    return (Job("audit_stock", partial(audit_stock, clock), cron="52 2 * * *"),)


def audit_stock(clock: Clock) -> int:
    """How many products drifted. It only looks: a person must find out why."""
    found = list(StockAudit().drifts())
    for drift in found:
        structlog.get_logger().error(
            DRIFT, product_id=str(drift.product_id), stock=drift.stock, movements=drift.movements
        )
    if found:
        with transaction() as session:
            count(session, DRIFT, clock(), by=len(found))
    return len(found)
