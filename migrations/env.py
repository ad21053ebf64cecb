"""Runs migrations: one at a time, each in its own transaction, never waiting long for a lock that traffic holds."""

import psycopg2
from alembic import context
from alembic.util import CommandError
from psycopg2.errors import InsufficientPrivilege, LockNotAvailable
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from capabilities import CAPABILITIES
from database import DIRECT, db
from database.base import Base
from metering.capability import load_models

# An arbitrary constant. Two releases that start together take turns instead of colliding.
MIGRATION_LOCK = 0x4D49_5252_4F52


def ours(_object: object, name: str | None, kind: str, _reflected: bool, _compare_to: object) -> bool:
    """procrastinate's tables come with its own SQL, not with our models."""
    return not (kind == "table" and (name or "").startswith("procrastinate_"))


def run() -> None:
    engine = db.engines.get(DIRECT, db.engine)  # a lock of the session needs one
    with engine.connect() as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("SET lock_timeout = '5s'"))
        connection.commit()
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.commit()
        try:
            context.configure(
                connection=connection,
                target_metadata=Base.metadata,
                compare_type=True,
                compare_server_default=True,
                transaction_per_migration=True,
                include_object=ours,
            )
            with context.begin_transaction():
                context.run_migrations()
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
            connection.commit()


def explain(error: Exception) -> None:
    """What an operator can put right, in one line: a server that is not reached, a right or a lock that is not given."""
    reason = error.orig if isinstance(error, DBAPIError) else error
    not_connected = (
        type(reason) is psycopg2.OperationalError
    )  # what a server answers to a statement has a class of its own
    if not_connected or isinstance(reason, LockNotAvailable | InsufficientPrivilege):
        raise CommandError(f"PostgreSQL (DATABASE_URL): {str(reason).splitlines()[0]}") from None


load_models(CAPABILITIES)  # of those that are off too: their tables exist all the same
try:
    run()
except (DBAPIError, psycopg2.Error) as error:
    explain(error)
    raise
