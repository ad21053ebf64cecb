"""Reconciling: asking the providers what is true, in case something they told us never arrived.

Each reconciler works in bounded steps and says how far it has come, so a run that is cut short is continued by the next.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

import structlog
from sqlalchemy import SelectBase, select
from sqlalchemy.dialects.postgresql import insert

from database import reading, transaction
from database.base import Clock
from database.batch import work_through
from payments.billing.counts import count
from payments.inbox.metrics import RECONCILE_FAILURES
from payments.models import ReconcileCursor

FIRST_ID = UUID(int=0)
MOST_STEPS = 50
"""Of each reconciler in one run. The next hour takes the rest."""


@dataclass(frozen=True)
class Step:
    """`drift`: how many rows were wrong and were corrected. `position` is handed to the next step."""

    position: str
    finished: bool
    checked: int
    drift: int


class Reconciler(Protocol):
    @property
    def name(self) -> str: ...

    def step(self, position: str | None) -> Step:
        """May ask the provider; holds no connection meanwhile. `position` is None at the very first run.

        Raises only when the provider cannot be asked at all. One row that fails is passed over (`work_through`), or nobody
        behind it would ever be reached.
        """


@dataclass(frozen=True)
class RowByRow:
    """Follows rows that may be wrong, in the order of their ids. After the last one the next run begins anew.

    `rows` has an `id` as its first column. `follow` is called with the columns of a row and says how often it was wrong.
    `unless`: the provider cannot be asked, so the next row would fare no better.
    """

    name: str
    rows: Callable[[], SelectBase]
    follow: Callable[..., int]
    unless: type[Exception] | tuple[type[Exception], ...]
    at_once: int = 20

    def step(self, position: str | None) -> Step:
        found = self.rows().subquery()
        after = UUID(position) if position else FIRST_ID
        with reading() as session:
            rows = session.execute(
                select(found).where(found.c.id > after).order_by(found.c.id).limit(self.at_once)
            ).all()
        drift = work_through(
            batch_of(self), rows, lambda row: self.follow(*row), key=lambda row: row[0], unless=self.unless
        )
        finished = len(rows) < self.at_once
        return Step("" if finished else str(rows[-1][0]), finished, len(rows), drift)


def batch_of(reconciler: Reconciler) -> str:
    """The name under which operators find the rows that were passed over."""
    return f"reconcile:{reconciler.name}"


@dataclass(frozen=True)
class Reconciled:
    checked: int = 0
    drift: int = 0
    failed: tuple[str, ...] = ()
    """Reconcilers whose provider could not be asked. They go on where they stopped at the next run."""


def reconcile(reconcilers: Iterable[Reconciler], clock: Clock, *, most_steps: int = MOST_STEPS) -> Reconciled:
    """One run of all. A provider that fails does not keep the others from theirs."""
    checked, drift, failed = 0, 0, []
    for reconciler in reconcilers:
        try:
            for _ in range(most_steps):
                step = reconciler.step(_position(reconciler.name))
                _keep(reconciler.name, step, clock())
                checked, drift = checked + step.checked, drift + step.drift
                if step.finished:
                    break
        except Exception as error:
            failed.append(reconciler.name)
            RECONCILE_FAILURES.labels(reconciler.name).inc()
            structlog.get_logger().error("reconcile_failed", name=reconciler.name, reason=type(error).__name__)
    if drift:
        structlog.get_logger().warning("billing_drift", corrected=drift, checked=checked)
    return Reconciled(checked, drift, tuple(failed))


def _position(name: str) -> str | None:
    with reading() as session:
        query = select(ReconcileCursor.position).where(ReconcileCursor.name == name)
        return session.execute(query).scalar_one_or_none()


def _keep(name: str, step: Step, now: datetime) -> None:
    place = {"position": step.position, "updated_at": now}
    with transaction() as session:
        session.execute(
            insert(ReconcileCursor)
            .values(name=name, **place)
            .on_conflict_do_update(index_elements=[ReconcileCursor.name], set_=place)
        )
        if step.drift:
            count(session, drift_of(name), now, by=step.drift)


def drift_of(name: str) -> str:
    """What a reconciler's corrections are counted as."""
    return f"drift:{name}"
