"""Reading what a user used: the log of calls by pages and as a whole, and a month of it added up.

A call belongs to the UTC day that it was reserved in. When it was written says the index where to look: from that day on, and
at most a day later.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select, text, tuple_
from sqlalchemy.orm import Session

from auth.models import ApiKey
from database import reading
from metering.models import RequestLog
from metering.usage.bodies import CallsFilter, StatusFilter
from security.edge.problems import NotFound, ValidationFailed, field_error

LONGEST_CALL = timedelta(days=1)
PORTION = 1_000
_PLACE = tuple_(RequestLog.created_at, RequestLog.id)


def list_calls(
    user_id: UUID, wanted: CallsFilter, cursor: UUID | None, limit: int
) -> tuple[Sequence[RequestLog], UUID | None]:
    """The newest first, and where the next page begins. Raises NotFound for a key that is not the user's, and ValidationFailed
    for a cursor that is not.
    """
    with reading() as session:
        _refuse_foreign_key(session, user_id, wanted.key_id)
        place = None if cursor is None else _place_of(session, user_id, cursor)
        found = _calls(session, user_id, wanted, place, limit + 1)
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def all_calls(user_id: UUID, wanted: CallsFilter) -> Iterator[RequestLog]:
    """The newest first, in portions: no connection is held while a portion is sent. Raises NotFound."""
    with reading() as session:
        _refuse_foreign_key(session, user_id, wanted.key_id)
    place: tuple[datetime, UUID] | None = None
    while True:
        with reading() as session:
            found = _calls(session, user_id, wanted, place, PORTION)
        yield from found
        if len(found) < PORTION:
            return
        place = found[-1].created_at, found[-1].id


def _calls(
    session: Session, user_id: UUID, wanted: CallsFilter, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[RequestLog]:
    conditions = [RequestLog.user_id == user_id, *_conditions(wanted)]
    if after is not None:
        # The first comparison is what the index is searched by.
        conditions += [RequestLog.created_at <= after[0], tuple_(*after) > _PLACE]
    newest = (RequestLog.created_at.desc(), RequestLog.id.desc())
    return session.scalars(select(RequestLog).where(*conditions).order_by(*newest).limit(limit)).all()


def _conditions(wanted: CallsFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.feature is not None:
        conditions.append(RequestLog.feature == wanted.feature)
    if wanted.key_id is not None:
        conditions.append(RequestLog.api_key_id == wanted.key_id)
    if wanted.status is StatusFilter.FREE:
        conditions.append(RequestLog.price_micros == 0)
    elif wanted.status is not None:
        conditions.append(RequestLog.success == (wanted.status is StatusFilter.OK))
    if wanted.from_ is not None:
        conditions += [RequestLog.window_date >= wanted.from_, RequestLog.created_at >= _midnight(wanted.from_)]
    if wanted.to is not None:
        conditions.append(RequestLog.window_date <= wanted.to)
        if wanted.to < date.max - 2 * LONGEST_CALL:
            conditions.append(RequestLog.created_at < _midnight(wanted.to + timedelta(days=1)) + LONGEST_CALL)
    return conditions


def _place_of(session: Session, user_id: UUID, cursor: UUID) -> tuple[datetime, UUID]:
    mine = select(RequestLog.created_at).where(RequestLog.id == cursor, RequestLog.user_id == user_id)
    written = session.scalars(mine).one_or_none()
    if written is None:
        raise ValidationFailed([field_error(["cursor"], "unknown_cursor", "Send the next_cursor of this list")])
    return written, cursor


def _refuse_foreign_key(session: Session, user_id: UUID, key_id: UUID | None) -> None:
    """A key that ended long ago is known by its calls alone."""
    if key_id is None:
        return
    key = select(ApiKey.id).where(ApiKey.id == key_id, ApiKey.user_id == user_id)
    calls = select(RequestLog.id).where(RequestLog.user_id == user_id, RequestLog.api_key_id == key_id).limit(1)
    if not any(session.scalars(query).first() for query in (key, calls)):
        raise NotFound("You have no API key with this ID")


SUMMARY = text("""
SELECT grouping(feature, window_date, api_key_id) AS missing, feature, window_date AS day, api_key_id AS key_id,
       count(*) AS total, count(*) FILTER (WHERE success) AS ok, count(*) FILTER (WHERE price_micros = 0) AS free,
       coalesce(sum(price_micros), 0)::bigint AS micros
FROM request_logs
WHERE user_id = :user_id AND created_at >= :since AND created_at < :until
    AND window_date >= :first AND window_date < :next
GROUP BY GROUPING SETS ((), (feature), (window_date), (api_key_id))
ORDER BY feature, day, key_id NULLS FIRST
""")
WHOLE, OF_FEATURE, OF_DAY, OF_KEY = 0b111, 0b011, 0b101, 0b110
"""What `grouping` says of a row: one bit for each column that it is not grouped by."""


@dataclass(frozen=True)
class Counted:
    """`named` is the feature, the day or the key that was counted."""

    named: Any
    total: int
    ok: int
    free: int
    micros: int


@dataclass(frozen=True)
class MonthOfUsage:
    whole: Counted
    by_feature: Sequence[Counted]
    by_day: Sequence[Counted]
    by_key: Sequence[Counted]


def read_month(user_id: UUID, first: date) -> MonthOfUsage:
    """`first`: its first day. What the log of calls still has of it."""
    following = (first + timedelta(days=31)).replace(day=1)
    given = {
        "user_id": user_id,
        "first": first,
        "next": following,
        "since": _midnight(first),
        "until": _midnight(following) + LONGEST_CALL,
    }
    found: dict[int, list[Counted]] = {kind: [] for kind in (WHOLE, OF_FEATURE, OF_DAY, OF_KEY)}
    with reading() as session:
        for row in session.execute(SUMMARY, given):
            named = {OF_FEATURE: row.feature, OF_DAY: row.day, OF_KEY: row.key_id}.get(row.missing)
            found[row.missing].append(Counted(named, row.total, row.ok, row.free, row.micros))
    return MonthOfUsage(found[WHOLE][0], found[OF_FEATURE], found[OF_DAY], found[OF_KEY])


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
