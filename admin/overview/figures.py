"""What the overview shows, all of it of the whole service and none of one process. Each statement reads a bounded number of rows."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import text

from admin.overview.minutes import LastHour, Minute
from database import reading
from database.jobs.worker_status import WaitingJobs
from metering.windows import day_of
from security.api.models import AnswerBody
from security.edge.problems import in_words
from security.health.check import Finding, HealthCheck

State = Literal["", "good", "wait", "bad"]
MOST_ROWS = 100_000
MOST_COUNTED = 10_000
NEAR = 0.8
OLD_JOB = timedelta(minutes=5)
MOST_REASONS = 8
NONE = "n/a"

COUNTS = text(f"""
    SELECT
        (SELECT count(*) FROM (
            SELECT FROM procrastinate_jobs WHERE status = 'failed' LIMIT {MOST_COUNTED}) AS dead),
        (SELECT count(*) FROM (
            SELECT FROM billing_events WHERE state = 'received' AND next_attempt_at <= :now LIMIT {MOST_COUNTED}) AS due),
        (SELECT count(*) FROM (
            SELECT FROM billing_events WHERE state = 'received' AND next_attempt_at > :now LIMIT {MOST_COUNTED}) AS later),
        (SELECT count(*) FROM (
            SELECT FROM security_events WHERE event IN ('sign_in_failed', 'second_factor_failed') AND occurred_at >= :since
            LIMIT {MOST_COUNTED}) AS failed),
        (SELECT count(*) FROM (
            SELECT FROM security_events WHERE event = 'signed_in' AND occurred_at >= :since LIMIT {MOST_COUNTED}) AS done)
    """)  # nosec B608 # noqa: S608 - numbers of ours
PRESSURE = text(f"""
    SELECT feature, count(*), count(*) FILTER (WHERE used >= allowed * {NEAR}), count(*) FILTER (WHERE used >= allowed)
    FROM (
        SELECT feature, used, allowed FROM usage_counters
        WHERE "window" = :day AND unit = 'call' AND allowed IS NOT NULL LIMIT {MOST_ROWS}
    ) AS counters
    GROUP BY feature ORDER BY feature
    """)  # nosec B608 # noqa: S608


class Card(AnswerBody):
    """`page` is the name of the pages that show more."""

    id: str
    page: str
    title: str
    value: str
    note: str
    state: State = ""


class PartShown(AnswerBody):
    name: str
    text: str
    state: State


class Reason(AnswerBody):
    code: str
    count: int


class Pressure(AnswerBody):
    feature: str
    users: int
    near: int
    reached: int


class Series(AnswerBody):
    """By minute. `at` is Unix seconds."""

    at: list[int]
    calls: list[int]
    failed: list[int]
    refused: list[int]
    p50_ms: list[int | None]
    p95_ms: list[int | None]


class Figures(AnswerBody):
    at: datetime
    cards: list[Card]
    parts: list[PartShown]
    failures: list[Reason]
    refusals: list[Reason]
    pressure: list[Pressure]
    series: Series


@dataclass(frozen=True)
class Overview:
    last_hour: LastHour
    health: HealthCheck

    def read(self) -> Figures:
        now = self.last_hour.clock()
        minutes = self.last_hour.read()
        findings = self.health.examine()
        with reading() as session:
            counts = session.execute(COUNTS, {"now": now, "since": now - timedelta(hours=1)}).one()
            pressure = session.execute(PRESSURE, {"day": day_of(now).name}).all()
        worker = findings["worker"].workers
        shown = [
            Pressure(feature=name, users=all_, near=near, reached=reached) for name, all_, near, reached in pressure
        ]
        return Figures(
            at=now,
            cards=[
                *_of_calls(list(minutes.values())),
                _of_pressure(shown),
                _of_queue(worker.waiting if worker is not None else None, now),
                *_of_counts(*counts),
            ],
            parts=[_shown(name, each) for name, each in findings.items()],
            failures=_most(sum((each.failures for each in minutes.values()), Counter())),
            refusals=_most(sum((each.refusals for each in minutes.values()), Counter())),
            pressure=shown,
            series=_series(minutes),
        )


def _of_calls(minutes: list[Minute]) -> Iterator[Card]:
    calls, failed = sum(each.calls for each in minutes), sum(each.failed for each in minutes)
    share = failed / calls if calls else 0
    yield Card(
        id="calls",
        page="requests",
        title="Calls, last hour",
        value=f"{calls:,}",
        note=f"{minutes[-2].calls:,} in the last minute",
    )
    state: State = "bad" if share >= 0.05 else "wait" if share >= 0.01 else ""
    yield Card(
        id="failed", page="requests", title="Failed", value=f"{share:.1%}", note=f"{failed:,} calls", state=state
    )
    timed = next((each for each in reversed(minutes[:-1]) if each.p95_ms is not None), Minute())
    value = NONE if timed.p95_ms is None else f"{timed.p95_ms:,} ms"
    note = "No call yet" if timed.p50_ms is None else f"Half within {timed.p50_ms:,} ms"
    yield Card(id="latency", page="requests", title="95% answered within", value=value, note=note)


def _of_pressure(pressure: list[Pressure]) -> Card:
    users, near = sum(each.users for each in pressure), sum(each.near for each in pressure)
    reached = sum(each.reached for each in pressure)
    share = f"{near / users:.0%}" if users else "0%"
    note = f"{near:,} of {users:,}; {reached:,} at the limit" if users else "Nobody with a limit today"
    return Card(id="pressure", page="ledger", title="Near their daily limit", value=share, note=note)


def _of_queue(waiting: tuple[WaitingJobs, ...] | None, now: datetime) -> Card:
    if waiting is None:
        return Card(id="queue", page="jobs", title="Jobs waiting", value=NONE, note="Unknown", state="bad")
    count = sum(each.count for each in waiting)
    age = now - min((each.since for each in waiting), default=now)
    note = f"Oldest: {in_words(age.total_seconds())}" if count else "None is due"
    return Card(
        id="queue",
        page="jobs",
        title="Jobs waiting",
        value=f"{count:,}",
        note=note,
        state="wait" if age > OLD_JOB else "",
    )


def _of_counts(dead: int, due: int, later: int, failed: int, done: int) -> Iterator[Card]:
    yield Card(
        id="dead",
        page="jobs",
        title="Jobs given up",
        value=_counted(dead),
        note="After all retries",
        state="bad" if dead else "",
    )
    note = f"{_counted(later)} to be retried later" if later else "None to be retried"
    yield Card(
        id="webhooks",
        page="webhooks",
        title="Webhooks waiting",
        value=_counted(due),
        note=note,
        state="wait" if later else "",
    )
    yield Card(
        id="sign_ins",
        page="audit",
        title="Failed sign-ins, last hour",
        value=_counted(failed),
        note=f"{_counted(done)} went well",
    )


def _counted(count: int) -> str:
    return f"{count:,}{'+' if count == MOST_COUNTED else ''}"


PROBLEMS = {
    "unreachable": "Not reachable",
    "no_answer": "No answer",
    "migrations_missing": "Migrations missing",
    "standing_still": "Standing still",
}


def _shown(name: str, finding: Finding) -> PartShown:
    problem = finding.health.problem
    said = f"{finding.health.latency_ms} ms" if problem is None else PROBLEMS[problem]
    return PartShown(name=name.replace("_", " ").capitalize(), text=said, state="good" if problem is None else "bad")


def _most(reasons: Counter[str]) -> list[Reason]:
    return [Reason(code=code, count=count) for code, count in reasons.most_common(MOST_REASONS)]


def _series(minutes: Mapping[datetime, Minute]) -> Series:
    """Without the present minute, which would look like a drop."""
    at = list(minutes)[:-1]
    of = [minutes[each] for each in at]
    return Series(
        at=[int(each.timestamp()) for each in at],
        calls=[each.calls for each in of],
        failed=[each.failed for each in of],
        refused=[each.refused for each in of],
        p50_ms=[each.p50_ms for each in of],
        p95_ms=[each.p95_ms for each in of],
    )
