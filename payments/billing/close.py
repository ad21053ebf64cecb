"""Close a month: each user's charges that stand in no statement yet become one statement.

A call belongs to the month of the day that it was reserved in. One that is settled after its month was closed stands in the
next statement. What runs meanwhile takes no lock for this: a charge is either seen here, or there later.
"""

from collections.abc import Iterator
from uuid import UUID

from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from auth.models import User
from database import reading, transaction
from database.batch import work_through
from metering.models import Charge
from payments.billing.months import first_day, month_of, next_month, period_id
from payments.billing.rules import PeriodRules
from payments.billing.state import PeriodState, in_cents, in_words
from payments.models import BillingCredit, BillingPeriod

USERS_AT_ONCE = 1_000
LONGEST = "SET LOCAL statement_timeout = '5min'; SET LOCAL lock_timeout = '5min'"
"""One user may have a million charges. Whoever closes the same month at the same time waits for the first to end."""
OF_STATEMENT = "statement"

TAKE_CHARGES = text("""
WITH taken AS (
    UPDATE charges SET statement_id = :period
    WHERE user_id = :user AND statement_id IS NULL AND window_date < :end
    RETURNING price_micros
)
SELECT count(*), coalesce(sum(price_micros), 0)::bigint FROM taken
""")


class MonthNotOver(Exception):
    """Only a month that is over can be closed."""


def close_periods(rules: PeriodRules, month: str) -> int:
    """Returns how many statements were made. One that cannot be made holds up no other. Raises MonthNotOver."""
    if month >= month_of(rules.clock()):
        raise MonthNotOver
    return work_through(
        "create_billing_periods", users_to_bill(month), lambda user_id: close_period(rules, user_id, month)
    )


def users_to_bill(month: str) -> Iterator[UUID]:
    """Those with charges of this month or before it, and without a statement of this month."""
    query = (
        select(Charge.user_id)
        .where(
            Charge.statement_id.is_(None),
            Charge.window_date < first_day(next_month(month)),
            ~select(BillingPeriod.id)
            .where(BillingPeriod.user_id == Charge.user_id, BillingPeriod.period == month)
            .exists(),
        )
        .distinct()
        .order_by(Charge.user_id)
        .limit(USERS_AT_ONCE)
    )
    last = UUID(int=0)
    while True:
        with reading() as session:
            portion = session.scalars(query.where(Charge.user_id > last)).all()
        yield from portion
        if len(portion) < USERS_AT_ONCE:
            return
        last = portion[-1]


def close_period(rules: PeriodRules, user_id: UUID, month: str) -> int:
    """One user's statement, with the e-mail about it. 0 when it is there already or there is nothing to bill.

    A statement is never below 0: what is left of the credits is a credit again, which stands in the next one.
    """
    now, period = rules.clock(), period_id(user_id, month)
    with transaction() as session:
        session.execute(text(LONGEST))
        begun = session.execute(
            insert(BillingPeriod)
            .values(
                id=period,
                user_id=user_id,
                period=month,
                state=PeriodState.PAID,
                requests=0,
                charges_micros=0,
                credits_cents=0,
                amount_cents=0,
                currency=rules.currency,
                closed_at=now,
            )
            .on_conflict_do_nothing()
            .returning(BillingPeriod.id)
        )
        if begun.first() is None:
            return 0
        taken = {"period": period, "user": user_id, "end": first_day(next_month(month))}
        requests, micros = session.execute(TAKE_CHARGES, taken).one()
        if requests == 0:
            session.execute(delete(BillingPeriod).where(BillingPeriod.id == period))
            return 0
        charged, credited = in_cents(micros), take_credits(session, user_id, period)
        if credited > charged:
            session.add(
                BillingCredit(
                    user_id=user_id,
                    cents=credited - charged,
                    reason=f"Left over from {month}",
                    given_by=OF_STATEMENT,
                    carried_from=period,
                    created_at=now,
                )
            )
        amount = max(0, charged - credited)
        statement = session.get_one(BillingPeriod, period, populate_existing=True)
        statement.requests, statement.charges_micros = requests, micros
        statement.credits_cents, statement.amount_cents = min(charged, credited), amount
        if amount:
            statement.state, statement.due_at = PeriodState.DUE, now + rules.due
            tell_of_statement(rules, session, statement)
        else:
            statement.paid_at = now
    return 1


def take_credits(session: Session, user_id: UUID, period: UUID) -> int:
    """Cents."""
    taken = session.execute(
        update(BillingCredit)
        .where(BillingCredit.user_id == user_id, BillingCredit.statement_id.is_(None))
        .values(statement_id=period)
        .returning(BillingCredit.cents)
    )
    return sum(taken.scalars())


def tell_of_statement(rules: PeriodRules, session: Session, statement: BillingPeriod) -> None:
    """Nobody is told of an account that was erased."""
    user = session.get(User, statement.user_id)
    if user is None or statement.due_at is None:
        return
    rules.mailer.enqueue(
        session,
        "billing_statement",
        user.email,
        month=f"{first_day(statement.period):%B %Y}",
        amount=in_words(statement.amount_cents, statement.currency),
        requests=statement.requests,
        due=f"{statement.due_at:%d %B %Y}",
        pay_url=rules.pay_url,
    )
