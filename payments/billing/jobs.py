"""The background jobs of billing. Each may be repeated."""

from uuid import UUID

from database.jobs.declare import Job, JobName, Urgency
from payments.billing.close import close_period, close_periods
from payments.billing.close_account import CLOSE_BILLING_PERIOD
from payments.billing.mark_overdue import mark_overdue_periods
from payments.billing.months import month_before
from payments.billing.rules import PeriodRules


def billing_jobs(rules: PeriodRules) -> tuple[Job, ...]:
    """A month is closed on the 1st. The other nights find what a stopped worker left undone, and who was billed for nothing yet."""
    return (
        Job(
            JobName("create_billing_periods", Urgency.PAYMENTS),
            lambda: close_periods(rules, month_before(rules.clock())),
            cron="10 2 * * *",
        ),
        Job(JobName("mark_overdue_periods", Urgency.PAYMENTS), lambda: mark_overdue_periods(rules), cron="40 2 * * *"),
        Job(CLOSE_BILLING_PERIOD, lambda user_id, month: close_period(rules, UUID(user_id), month)),
    )
