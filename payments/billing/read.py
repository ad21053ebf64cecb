"""Reading statements: a user's own, with the month that still runs, and everybody's for the staff."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from database import reading
from database.pages import Page, newest_first, page_of
from metering.models import Charge
from metering.money import MICROS_PER_CENT
from payments.billing.months import first_day, month_of, next_month, period_id
from payments.billing.rules import PeriodRules
from payments.billing.state import PeriodState, in_cents
from payments.models import BillingCredit, BillingPeriod
from security.edge.problems import NotFound, ValidationFailed, field_error

PORTION = 2_000
CHARGE, CREDIT = "charge", "credit"


@dataclass(frozen=True)
class Period:
    """A statement, or a month that has none yet: then `closed_at` is None, and the figures are those of this moment."""

    id: UUID
    user_id: UUID
    period: str
    state: PeriodState
    requests: int
    charges_micros: int
    credits_cents: int
    amount_cents: int
    currency: str
    closed_at: datetime | None = None
    due_at: datetime | None = None
    paid_at: datetime | None = None
    payment_id: UUID | None = None


@dataclass(frozen=True)
class Line:
    """`micros` is below 0 for a credit. `about` is a feature, or the reason of a credit."""

    kind: str
    id: UUID
    at: datetime
    about: str
    micros: int


@dataclass(frozen=True)
class Wanted:
    user_id: UUID | None = None
    state: PeriodState | None = None
    period: str | None = None


def list_periods(wanted: Wanted, cursor: UUID | None = None, limit: int = 50) -> Page[Period]:
    """Statements, the newest month first."""
    with reading() as session:
        return page_of(_closed(session, wanted, cursor, limit), limit)


def read_period(period: UUID) -> Period:
    """A statement. Raises NotFound."""
    with reading() as session:
        row = session.get(BillingPeriod, period)
        if row is None:
            raise NotFound
        return shown(row)


def list_own_periods(rules: PeriodRules, user_id: UUID, cursor: UUID | None = None, limit: int = 50) -> Page[Period]:
    """The same of one user, with what is open. Raises ValidationFailed for a cursor of another list."""
    with reading() as session:
        still_open = open_months(rules, session, user_id)
        if cursor is not None:
            last = session.get(BillingPeriod, cursor)
            if cursor not in {each.id for each in still_open} and (last is None or last.user_id != user_id):
                raise ValidationFailed([field_error(["cursor"], "unknown_cursor", "Send the next_cursor of this list")])
        closed = _closed(session, Wanted(user_id), cursor, limit)
    before = [each for each in still_open if cursor is None or each.id < cursor]
    found = sorted((*before, *closed), key=lambda each: each.id, reverse=True)
    return page_of(found[: limit + 1], limit)


def own_period(rules: PeriodRules, user_id: UUID, period: UUID) -> Period:
    """Raises NotFound, also for another's."""
    with reading() as session:
        row = session.get(BillingPeriod, period)
        if row is not None and row.user_id == user_id:
            return shown(row)
        for each in open_months(rules, session, user_id):
            if each.id == period:
                return each
    raise NotFound


def lines_of(period: Period) -> Iterator[Line]:
    """What it is made of: credits, then charges in the order of their requests. In portions, so that no connection is held while
    one is sent.
    """
    month_ends = first_day(next_month(period.period))
    if period.closed_at is None:
        which = [Charge.user_id == period.user_id, Charge.statement_id.is_(None), Charge.window_date < month_ends]
        of_credit = [BillingCredit.user_id == period.user_id, BillingCredit.statement_id.is_(None)]
    else:
        which, of_credit = [Charge.statement_id == period.id], [BillingCredit.statement_id == period.id]
    with reading() as session:
        given = session.scalars(select(BillingCredit).where(*of_credit).order_by(BillingCredit.id)).all()
    for credit in given:
        yield Line(CREDIT, credit.id, credit.created_at, credit.reason or "", -credit.cents * MICROS_PER_CENT)
    last = UUID(int=0)
    while True:
        query = select(Charge).where(*which, Charge.request_id > last).order_by(Charge.request_id).limit(PORTION)
        with reading() as session:
            portion = session.scalars(query).all()
        for charge in portion:
            yield Line(CHARGE, charge.request_id, charge.created_at, charge.feature, charge.price_micros)
        if len(portion) < PORTION:
            return
        last = portion[-1].request_id


def open_months(rules: PeriodRules, session: Session, user_id: UUID) -> list[Period]:
    """What closing would make of a user's charges now: this month, and earlier ones that nobody closed yet. What is settled too
    late for its own month stands in the next.
    """
    closed = set(session.scalars(select(BillingPeriod.period).where(BillingPeriod.user_id == user_id)))
    month = func.to_char(Charge.window_date, "YYYY-MM")
    waiting = select(month, func.count(), func.sum(Charge.price_micros)).where(
        Charge.user_id == user_id, Charge.statement_id.is_(None)
    )
    counts: dict[str, int] = {}
    micros: dict[str, int] = {}
    counted: list[tuple[str, int, int]] = [(month_of(rules.clock()), 0, 0)]
    counted += [(name, many, int(total)) for name, many, total in session.execute(waiting.group_by(month))]
    for own, many, price in counted:
        name = own
        while name in closed:
            name = next_month(name)
        counts[name] = counts.get(name, 0) + many
        micros[name] = micros.get(name, 0) + price
    left: int = session.scalars(
        select(func.coalesce(func.sum(BillingCredit.cents), 0)).where(
            BillingCredit.user_id == user_id, BillingCredit.statement_id.is_(None)
        )
    ).one()
    periods = []
    for name in sorted(counts):
        charged = in_cents(micros[name])
        credited = min(int(left), charged)
        left -= credited
        periods.append(
            Period(
                id=period_id(user_id, name),
                user_id=user_id,
                period=name,
                state=PeriodState.OPEN,
                requests=counts[name],
                charges_micros=micros[name],
                credits_cents=credited,
                amount_cents=charged - credited,
                currency=rules.currency,
            )
        )
    return periods


def shown(row: BillingPeriod) -> Period:
    return Period(
        id=row.id,
        user_id=row.user_id,
        period=row.period,
        state=PeriodState(row.state),
        requests=row.requests,
        charges_micros=row.charges_micros,
        credits_cents=row.credits_cents,
        amount_cents=row.amount_cents,
        currency=row.currency,
        closed_at=row.closed_at,
        due_at=row.due_at,
        paid_at=row.paid_at,
        payment_id=row.payment_id,
    )


def _closed(session: Session, wanted: Wanted, cursor: UUID | None, limit: int) -> list[Period]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.user_id is not None:
        conditions.append(BillingPeriod.user_id == wanted.user_id)
    if wanted.state is not None:
        conditions.append(BillingPeriod.state == wanted.state)
    if wanted.period is not None:
        conditions.append(BillingPeriod.period == wanted.period)
    query = newest_first(select(BillingPeriod).where(*conditions), BillingPeriod.id, cursor, limit)
    return [shown(row) for row in session.scalars(query)]
