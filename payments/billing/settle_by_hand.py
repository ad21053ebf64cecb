"""What operators and staff decide about a statement: it was paid in another way, or nobody asks for it any more.

Each may be repeated. `by` is a member of the staff; None for the command line.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth.audit.record import record
from auth.operators.accounts import OPERATOR
from database import transaction
from payments.billing.rules import PeriodRules
from payments.billing.state import UNPAID, PeriodState
from payments.models import BillingPeriod
from security.edge.problems import NotFound, Problem


class BillingPeriodSettled(Problem):
    """`state` says how."""

    status, error, title = 409, "billing_period_settled", "This statement does not have to be paid any more"


def mark_paid(rules: PeriodRules, period_id: UUID, *, by: UUID | None = None, reason: str | None = None) -> bool:
    """It was paid by bank transfer, for example. False when it was paid before. Raises NotFound, BillingPeriodSettled."""
    return _settle(rules, period_id, PeriodState.PAID, "billing_period_marked_paid", by=by, reason=reason)


def waive(rules: PeriodRules, period_id: UUID, *, by: UUID | None = None, reason: str | None = None) -> bool:
    """False when it was waived before. Raises NotFound, BillingPeriodSettled."""
    return _settle(rules, period_id, PeriodState.WAIVED, "billing_period_waived", by=by, reason=reason)


def _settle(
    rules: PeriodRules, period_id: UUID, state: PeriodState, event: str, *, by: UUID | None, reason: str | None
) -> bool:
    now = rules.clock()
    with transaction() as session:
        statement = locked(session, period_id)
        if statement is None:
            raise NotFound
        if statement.state == state:
            return False
        if statement.state not in UNPAID:
            raise BillingPeriodSettled(state=statement.state)
        statement.state = state
        statement.paid_at = now if state is PeriodState.PAID else None
        detail: dict[str, Any] = {"by": OPERATOR} if by is None else {}
        if reason is not None:
            detail["reason"] = reason
        detail |= {"period": statement.period, "amount_cents": statement.amount_cents}
        record(session, event, now, user_id=statement.user_id, actor_id=by, **detail)
    return True


def locked(session: Session, period_id: UUID) -> BillingPeriod | None:
    query = select(BillingPeriod).where(BillingPeriod.id == period_id).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()
