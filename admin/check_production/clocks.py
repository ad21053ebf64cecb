"""Clocks of servers beside this process's: tokens, limits and signatures compare times that different machines wrote."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from settings.production_check import Shortcoming

MOST_APART = timedelta(seconds=3)
NOTHING = timedelta()


def clock_is_off(whose: str, theirs: datetime, before: datetime, after: datetime) -> Iterator[Shortcoming]:
    """`before` and `after` are our times around the question, so that a slow answer is no wrong clock."""
    apart = max(before - theirs, theirs - after, NOTHING)
    if apart > MOST_APART:
        yield Shortcoming(
            f"The clock of {whose} and that of this host differ by {apart.total_seconds():.0f} seconds.",
            "Turn on time synchronisation (NTP) on both.",
        )
