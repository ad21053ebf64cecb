"""A job: forget challenges and wrong codes that no longer count."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from auth.second_factor.prove import HOUR

# In portions, so that one run stays far below the statement timeout; the next one takes the rest.
PURGES = [
    text(f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE {old} LIMIT 5000)")  # noqa: S608
    for table, key, old in (
        ("passkey_challenges", "challenge", "expires_at < :now"),
        ("sign_in_challenges", "id", "expires_at < :now"),
        ("wrong_second_factors", "id", "tried_at < CAST(:now AS timestamptz) - CAST(:hour AS interval)"),
    )
]


def purge_second_factors(session: Session, now: datetime) -> int:
    """Returns how many rows were deleted."""
    times = {"now": now, "hour": HOUR}
    return sum(session.execute(purge, times).rowcount for purge in PURGES)  # type: ignore[attr-defined]
