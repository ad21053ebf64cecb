"""Who used 80 or 100 % of a budget in this month is told once of each."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from sqlalchemy import Integer, case, cast, or_, select, update

from auth.assembly import Auth
from auth.models import User
from database import reading, transaction
from database.batch import not_passed_over, work_through
from metering.models import UsageCounter
from metering.money import ACCOUNT, MICROS_PER_CENT, MONEY_UNIT
from metering.usage.models import UsageBudget
from metering.windows import Window, month_of

BATCH = "budget_emails"
PORTION = 1_000
NEARLY, WHOLLY = 80, 100


@dataclass(frozen=True)
class Reached:
    user_id: UUID
    percent: int


def send_budget_emails(auth: Auth) -> int:
    """The job. Returns how many were enqueued."""
    month = month_of(auth.clock())
    return work_through(BATCH, _reached(month), partial(_tell, auth, month), key=lambda each: each.user_id)


def _reached(month: Window) -> list[Reached]:
    budget = UsageBudget.monthly_cents * MICROS_PER_CENT
    percent = case((UsageCounter.used >= budget, WHOLLY), else_=NEARLY)
    query = (
        select(UsageBudget.user_id, cast(percent, Integer))
        .join(UsageCounter, UsageCounter.user_id == UsageBudget.user_id)
        .where(
            UsageCounter.feature == ACCOUNT,
            UsageCounter.unit == MONEY_UNIT,
            UsageCounter.window == month.name,
            UsageBudget.monthly_cents > 0,
            UsageCounter.used * 100 >= budget * NEARLY,
            or_(UsageBudget.told_month.is_distinct_from(month.name), UsageBudget.told_percent < percent),
            not_passed_over(BATCH, UsageBudget.user_id),
        )
        .limit(PORTION)
    )
    with reading() as session:
        return [Reached(*row) for row in session.execute(query)]


def _tell(auth: Auth, month: Window, reached: Reached) -> int:
    """It is noted in the transaction that enqueues the e-mail, so a run that is repeated sends nothing twice."""
    not_told = or_(UsageBudget.told_month.is_distinct_from(month.name), UsageBudget.told_percent < reached.percent)
    with transaction() as session:
        noted = session.scalars(
            update(UsageBudget)
            .where(UsageBudget.user_id == reached.user_id, not_told)
            .values(told_month=month.name, told_percent=reached.percent)
            .returning(UsageBudget.user_id)
        ).one_or_none()
        email = session.scalars(select(User.email).where(User.id == noted, User.is_active)).one_or_none()
        if email is None:
            return 0
        auth.mailer.enqueue(
            session,
            "budget_used",
            email,
            percent=reached.percent,
            wholly=reached.percent == WHOLLY,
            until=f"{datetime.fromtimestamp(month.ends, UTC):%-d %B %Y}",
        )
    return 1
