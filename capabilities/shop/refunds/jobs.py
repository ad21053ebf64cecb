"""Money that goes back without anybody waiting for it."""

from uuid import UUID

from capabilities.shop.refunds.complete_refund import finish_refunds
from capabilities.shop.refunds.give_all_back import REFUND_ORDER, give_all_back
from capabilities.shop.rules import ShopRules
from database.jobs.declare import Job, JobName, Urgency


def refund_jobs(rules: ShopRules) -> tuple[Job, ...]:
    return (
        Job(REFUND_ORDER, lambda order_id: give_all_back(rules, UUID(order_id))),
        Job(JobName("finish_refunds", Urgency.PAYMENTS), lambda: finish_refunds(rules), cron="* * * * *"),
    )
