"""Correct what was charged: charges are never changed, so a credit with a reason stands in the next statement."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from auth.audit.record import record
from auth.models import User
from auth.operators.accounts import OPERATOR
from database import reading, transaction
from database.base import uuid7
from payments.billing.rules import PeriodRules
from payments.models import BillingCredit, BillingPeriod
from security.edge.problems import NotFound

LARGEST_CREDIT = 99_999_999
LONGEST_REASON = 500


@dataclass(frozen=True)
class CreditGiven:
    """`is_new` is false for the same credit given again."""

    id: UUID
    user_id: UUID
    is_new: bool


def give_credit(rules: PeriodRules, user_id: UUID, cents: int, reason: str, *, by: UUID | None = None) -> CreditGiven:
    """The same amount for the same reason is given once, until it stands in a statement. Raises NotFound.

    `reason` is seen by the user. `by` is a member of the staff; None for the command line.
    """
    now = rules.clock()
    with transaction() as session:
        if session.get(User, user_id) is None:
            raise NotFound
        given = session.execute(
            insert(BillingCredit)
            .values(
                id=uuid7(),
                user_id=user_id,
                cents=cents,
                reason=reason,
                given_by=OPERATOR if by is None else str(by),
                created_at=now,
            )
            .on_conflict_do_nothing()
            .returning(BillingCredit.id)
        ).scalar_one_or_none()
        if given is None:
            same = select(BillingCredit.id).where(
                BillingCredit.user_id == user_id,
                BillingCredit.cents == cents,
                BillingCredit.reason == reason,
                BillingCredit.carried_from.is_(None),
            )
            before = session.scalars(same.order_by(BillingCredit.id.desc()).limit(1)).one()
            return CreditGiven(before, user_id, is_new=False)
        detail: dict[str, Any] = {"by": OPERATOR} if by is None else {}
        detail |= {"cents": cents, "reason": reason}
        record(session, "billing_credit_given", now, user_id=user_id, actor_id=by, **detail)
    return CreditGiven(given, user_id, is_new=True)


def credit_statement(
    rules: PeriodRules, period_id: UUID, cents: int, reason: str, *, by: UUID | None = None
) -> CreditGiven:
    """The user of this statement; the credit stands in the next one. Raises NotFound."""
    with reading() as session:
        user_id = session.execute(select(BillingPeriod.user_id).where(BillingPeriod.id == period_id)).scalar()
    if user_id is None:
        raise NotFound
    return give_credit(rules, user_id, cents, reason, by=by)
