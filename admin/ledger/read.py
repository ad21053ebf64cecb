"""Reading the ledger: what was counted, what is set aside for calls in flight, and what calls cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import func, select

from admin.listed import Listed
from auth.models import User
from database import reading
from database.pages import Page, newest_first, page_of
from metering.models import Charge, UsageCounter, UsageReservation
from metering.windows import month_of

MOST_COUNTERS = 100
MOST_RESERVATIONS = 100


@dataclass(frozen=True)
class LedgerFilter:
    user_id: UUID | None = None
    feature: str | None = None
    window: str | None = None
    """Such as 2026-11-29, 2026-11 or 2026-11-29T05."""


@dataclass(frozen=True)
class Counted:
    counter: UsageCounter
    email: str | None


@dataclass(frozen=True)
class WindowSum:
    """What all accounts used together in one window."""

    feature: str
    unit: str
    accounts: int
    used: int


@dataclass(frozen=True)
class ChargeSum:
    """Of one account in one month."""

    feature: str
    charges: int
    price_micros: int
    cost_micros: int


def list_counters(wanted: LedgerFilter) -> Sequence[Counted]:
    """Of one account the newest windows first; of all accounts in one window those that used most first."""
    query = select(UsageCounter, User.email).outerjoin(User, User.id == UsageCounter.user_id)
    if wanted.user_id is not None:
        query = query.where(UsageCounter.user_id == wanted.user_id)
    if wanted.feature is not None:
        query = query.where(UsageCounter.feature == wanted.feature)
    if wanted.window is not None:
        query = query.where(UsageCounter.window == wanted.window)
    order = (UsageCounter.used.desc(),) if wanted.user_id is None else (UsageCounter.window.desc(),)
    query = query.order_by(*order, UsageCounter.feature, UsageCounter.unit).limit(MOST_COUNTERS)
    with reading() as session:
        return [Counted(*row) for row in session.execute(query)]


def sum_window(window: str, feature: str | None) -> Sequence[WindowSum]:
    query = (
        select(UsageCounter.feature, UsageCounter.unit, func.count(), func.sum(UsageCounter.used))
        .where(UsageCounter.window == window)
        .group_by(UsageCounter.feature, UsageCounter.unit)
        .order_by(UsageCounter.feature, UsageCounter.unit)
    )
    if feature is not None:
        query = query.where(UsageCounter.feature == feature)
    with reading() as session:
        return [WindowSum(name, unit, count, int(used)) for name, unit, count, used in session.execute(query)]


def list_reservations(wanted: LedgerFilter) -> Sequence[UsageReservation]:
    """Those that still count; the newest first."""
    query = select(UsageReservation).where(UsageReservation.lease_until > func.now())
    if wanted.user_id is not None:
        query = query.where(UsageReservation.user_id == wanted.user_id)
    if wanted.feature is not None:
        query = query.where(UsageReservation.feature == wanted.feature)
    with reading() as session:
        return session.scalars(query.order_by(UsageReservation.created_at.desc()).limit(MOST_RESERVATIONS)).all()


def list_charges(wanted: LedgerFilter, cursor: UUID | None, limit: int) -> Page[Listed[Charge]]:
    """The newest calls first: their ids are in the order of time."""
    query = select(Charge, User.email).outerjoin(User, User.id == Charge.user_id)
    if wanted.user_id is not None:
        query = query.where(Charge.user_id == wanted.user_id)
    if wanted.feature is not None:
        query = query.where(Charge.feature == wanted.feature)
    with reading() as session:
        found = session.execute(newest_first(query, Charge.request_id, cursor, limit)).all()
    return page_of([Listed(charge.request_id, charge, email) for charge, email in found], limit)


def sum_charges(user_id: UUID, now: datetime) -> Sequence[ChargeSum]:
    """Of this month."""
    begins = datetime.fromtimestamp(month_of(now).begins, UTC)
    query = (
        select(Charge.feature, func.count(), func.sum(Charge.price_micros), func.sum(Charge.cost_micros))
        .where(Charge.user_id == user_id, Charge.created_at >= begins)
        .group_by(Charge.feature)
        .order_by(Charge.feature)
    )
    with reading() as session:
        return [ChargeSum(name, count, int(price), int(cost)) for name, count, price, cost in session.execute(query)]
