"""Telling the process that listens (LISTEN, NOTIFY) what a transaction changed."""

from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

LONGEST_PAYLOAD: Final = 7999
"""Bytes: PostgreSQL takes none of 8000. Whoever has more to say names the row to read."""


def notify(session: Session, channel: str, payload: str) -> None:
    """Heard once the transaction is committed, and never when it is rolled back. The same twice in a transaction is heard once.

    Who is not listening at that moment never hears it, so it must be no more than a hint. Works through PgBouncer.
    """
    session.execute(select(func.pg_notify(channel, payload)))
