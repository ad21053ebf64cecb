"""Reading the request log, newest first. A search never reads more than a stretch of time, so it stays quick in a long log."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, select, tuple_

from admin.listed import Listed
from auth.models import User
from database import reading
from database.pages import Page, page_of
from metering.models import Charge, RequestLog

LONGEST = timedelta(days=7)
LONGEST_OF_ACCOUNT = timedelta(days=366)


@dataclass(frozen=True)
class CallFilter:
    """`until` is not in it."""

    user_id: UUID | None = None
    feature: str | None = None
    outcome: str | None = None
    error_code: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def searches(self) -> bool:
        """Rows must be looked at that are not shown."""
        return any((self.feature, self.outcome, self.error_code))

    def bounded(self, now: datetime) -> "CallFilter":
        """The same with a beginning and an end, where it searches."""
        if not self.searches:
            return self
        until = self.until or now
        longest = LONGEST if self.user_id is None else LONGEST_OF_ACCOUNT
        earliest = until - min(longest, until - datetime.min.replace(tzinfo=UTC))
        return replace(self, since=max(earliest, self.since or earliest), until=until)


def list_calls(wanted: CallFilter, cursor: UUID | None, limit: int) -> Page[Listed[RequestLog]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.user_id is not None:
        conditions.append(RequestLog.user_id == wanted.user_id)
    if wanted.feature is not None:
        conditions.append(RequestLog.feature == wanted.feature)
    if wanted.outcome is not None:
        conditions.append(RequestLog.outcome == wanted.outcome)
    if wanted.error_code is not None:
        conditions.append(RequestLog.error_code == wanted.error_code)
    if wanted.since is not None:
        conditions.append(RequestLog.created_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(RequestLog.created_at < wanted.until)
    with reading() as session:
        if cursor is not None:
            ended = session.scalars(select(RequestLog.created_at).where(RequestLog.id == cursor)).one_or_none()
            if ended is None:
                return Page([], None)  # it went with its account, and nobody knows where it was
            # The first comparison is what the index is searched by.
            conditions += [RequestLog.created_at <= ended, tuple_(ended, cursor) > _PLACE]
        found = session.execute(
            select(RequestLog, User.email)
            .join(User, User.id == RequestLog.user_id)
            .where(*conditions)
            .order_by(RequestLog.created_at.desc(), RequestLog.id.desc())
            .limit(limit + 1)
        ).all()
    return page_of([Listed(call.id, call, email) for call, email in found], limit)


_PLACE = tuple_(RequestLog.created_at, RequestLog.id)


@dataclass(frozen=True)
class CallDetail:
    call: RequestLog
    email: str
    charge: Charge | None


def read_call(request_id: UUID) -> CallDetail | None:
    query = (
        select(RequestLog, User.email, Charge)
        .join(User, User.id == RequestLog.user_id)
        .outerjoin(Charge, Charge.request_id == RequestLog.id)
        .where(RequestLog.id == request_id)
    )
    with reading() as session:
        row = session.execute(query).one_or_none()
    return None if row is None else CallDetail(*row)
