"""Deleting sessions that ended longer ago than the plan of their user keeps, and those that nobody ever connected."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, and_, or_, select

from auth.models import User
from auth.purge import NIGHTLY
from capabilities.terminal.models import SessionState, TerminalSession
from capabilities.terminal.plan_limits import tiers_by_history_days
from database.base import Clock
from database.batch import purge
from database.jobs.declare import Job

BATCH: Final = "purge_terminal_sessions"
NEVER_CONNECTED: Final = timedelta(days=1)
"""Far longer than a client may wait with it (open_session.py), after which the row would stand open in the list for ever."""


def session_jobs(clock: Clock) -> tuple[Job, ...]:
    return (Job(BATCH, lambda: purge_sessions(clock()), cron=NIGHTLY),)


def purge_sessions(now: datetime) -> int:
    """By the plan that a user has now. Returns how many were deleted."""
    unused = and_(TerminalSession.state == SessionState.CREATED, TerminalSession.created_at < now - NEVER_CONNECTED)
    return purge(BATCH, select(TerminalSession.id).where(or_(unused, *_kept_long_enough(now))))


def _kept_long_enough(now: datetime) -> list[ColumnElement[bool]]:
    return [
        and_(
            TerminalSession.closed_at < now - timedelta(days=days),
            TerminalSession.user_id.in_(select(User.id).where(User.tier.in_(tiers))),
        )
        for days, tiers in tiers_by_history_days()
    ]
