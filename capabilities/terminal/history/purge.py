"""Deleting commands that are older than the plan of their user keeps."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select

from auth.models import User
from auth.purge import NIGHTLY
from capabilities.terminal.models import TerminalCommand
from capabilities.terminal.plan_limits import tiers_by_history_days
from database.base import Clock
from database.batch import purge
from database.jobs.declare import Job

BATCH: Final = "purge_terminal_history"


def history_jobs(clock: Clock) -> tuple[Job, ...]:
    return (Job(BATCH, lambda: purge_history(clock()), cron=NIGHTLY),)


def purge_history(now: datetime) -> int:
    """By the plan that a user has now. Returns how many were deleted."""
    return sum(
        purge(
            BATCH,
            select(TerminalCommand.user_id, TerminalCommand.id).where(
                TerminalCommand.at < now - timedelta(days=days),
                TerminalCommand.user_id.in_(select(User.id).where(User.tier.in_(tiers))),
            ),
        )
        for days, tiers in tiers_by_history_days()
    )
