"""Months of UTC by their names, `2026-11`, which sort by time."""

import hashlib
import re
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from database.base import VERSION_7, VERSION_AND_VARIANT

MONTH = re.compile(r"[1-9][0-9]{3}-(0[1-9]|1[0-2])")


def month_of(moment: date) -> str:
    """Of a day, or of an aware UTC time."""
    return moment.isoformat()[:7]


def first_day(month: str) -> date:
    return date.fromisoformat(f"{month}-01")


def next_month(month: str) -> str:
    return month_of(first_day(month) + timedelta(days=31))


def month_before(moment: date) -> str:
    """The last month that is over."""
    return month_of(first_day(month_of(moment)) - timedelta(days=1))


def period_id(user_id: UUID, month: str) -> UUID:
    """The id of a user's period: a version 7 UUID of the month's first moment, so that ids sort by month. It is made from both
    names, so that a month has the same id while it is open and has no row.
    """
    begins = datetime.combine(first_day(month), datetime.min.time(), UTC)
    own = hashlib.sha256(user_id.bytes + month.encode()).digest()[:10]
    value = round(begins.timestamp() * 1000) << 80 | int.from_bytes(own, "big")
    return UUID(int=value & ~VERSION_AND_VARIANT | VERSION_7)
