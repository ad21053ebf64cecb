"""Calls by the minute, over the last hour and all machines."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import text

from database import reading
from database.base import Clock

HOUR = timedelta(hours=1)
STILL_CHANGES = timedelta(minutes=3)
"""How old a minute is before it is not read again. A call is written down when it ends."""
FRESH = timedelta(seconds=2)
"""What was read is given again for so long, however many look at it."""

CALLS = text("""
    SELECT date_trunc('minute', created_at),
        count(*) FILTER (WHERE outcome IS DISTINCT FROM 'refused'),
        count(*) FILTER (WHERE NOT success AND outcome IS DISTINCT FROM 'refused'),
        count(*) FILTER (WHERE outcome = 'refused'),
        percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY response_time_ms) FILTER (WHERE success)
    FROM request_logs WHERE created_at >= :since GROUP BY 1
    """)
REASONS = text("""
    SELECT date_trunc('minute', created_at), outcome = 'refused', error_code, count(*)
    FROM request_logs WHERE created_at >= :since AND error_code IS NOT NULL GROUP BY 1, 2, 3
    """)


@dataclass
class Minute:
    """`refused`: by a limit, where one call a minute stands for all of a user and policy."""

    calls: int = 0
    failed: int = 0
    refused: int = 0
    p50_ms: int | None = None
    p95_ms: int | None = None
    failures: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)


@dataclass
class LastHour:
    """Of one process, which remembers the minutes that are over: at 100 calls a second reading the whole hour takes PostgreSQL
    half a second, and the last three minutes 8 ms.
    """

    clock: Clock
    _minutes: dict[datetime, Minute] = field(default_factory=dict, init=False)
    _read_at: datetime | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def read(self) -> dict[datetime, Minute]:
        """All sixty, the oldest first, and the present one last."""
        with self._lock:
            now = self.clock()
            if self._read_at is None or now - self._read_at >= FRESH:
                self._renew(now)
                self._read_at = now
            present = now.replace(second=0, microsecond=0)
            hour = [present - timedelta(minutes=ago) for ago in range(60, -1, -1)]
            self._minutes = {minute: self._minutes.get(minute, Minute()) for minute in hour}
            return self._minutes

    def _renew(self, now: datetime) -> None:
        since = now - HOUR if self._read_at is None else max(self._read_at - STILL_CHANGES, now - HOUR)
        since = since.replace(second=0, microsecond=0)
        with reading() as session:
            calls = session.execute(CALLS, {"since": since}).all()
            reasons = session.execute(REASONS, {"since": since}).all()
        found = {minute: Minute(*counts, *(percentiles or (None, None))) for minute, *counts, percentiles in calls}
        for minute, refused, code, count in reasons:
            of = found.setdefault(minute, Minute())
            (of.refusals if refused else of.failures)[code] += count
        self._minutes |= found
