"""Time as the stand-ins see it. They are other people's servers, and start without the libraries of our database."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Aware, UTC. Handed in, so that tests can move it."""


def utc_now() -> datetime:
    return datetime.now(UTC)
