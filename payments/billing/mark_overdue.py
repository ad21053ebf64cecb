"""A statement whose time to pay is over becomes overdue, and its user is told."""

from uuid import UUID

from sqlalchemy import select, update

from auth.models import User
from database import reading, transaction
from database.batch import work_through
from payments.billing.months import first_day
from payments.billing.rules import PeriodRules
from payments.billing.state import SMALLEST_PAYMENT, PeriodState, in_words
from payments.models import BillingPeriod


def mark_overdue_periods(rules: PeriodRules) -> int:
    """Returns how many became overdue. One that cannot be marked holds up no other."""
    query = select(BillingPeriod.id).where(
        BillingPeriod.state == PeriodState.DUE,
        BillingPeriod.due_at <= rules.clock(),
        BillingPeriod.amount_cents >= SMALLEST_PAYMENT,
    )
    with reading() as session:
        late = session.scalars(query.order_by(BillingPeriod.due_at)).all()
    return work_through("mark_overdue_periods", late, lambda period: mark_overdue(rules, period))


def mark_overdue(rules: PeriodRules, period_id: UUID) -> int:
    """0 when it was paid or marked meanwhile."""
    with transaction() as session:
        statement = session.scalars(
            update(BillingPeriod)
            .where(
                BillingPeriod.id == period_id,
                BillingPeriod.state == PeriodState.DUE,
                BillingPeriod.due_at <= rules.clock(),
            )
            .values(state=PeriodState.OVERDUE)
            .returning(BillingPeriod)
        ).one_or_none()
        if statement is None:
            return 0
        user = session.get(User, statement.user_id)
        if user is not None:
            rules.mailer.enqueue(
                session,
                "billing_overdue",
                user.email,
                month=f"{first_day(statement.period):%B %Y}",
                amount=in_words(statement.amount_cents, statement.currency),
                blocked=rules.overdue_blocks,
                pay_url=rules.pay_url,
            )
    return 1
