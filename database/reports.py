"""A connection for reports, beside those of everything else: for reading alone, and with time for a long statement."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from database.engine import EngineOptions, engine_options, sqlalchemy_url

REPORTS = "reports"
OPTIONS = EngineOptions(
    pool_size=1, statement_timeout=30.0, application_name="mirroros-reports", read_only=True, ask_first=True
)


class Reports:
    """Where reports are read."""

    def __init__(self, url: str, replica_url: str | None) -> None:
        self._primary = report_engine(url)
        self._replica = None if replica_url is None else report_engine(replica_url)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """From the replica. When it cannot be reached the primary answers, and a line in the log says so: whoever looks for what
        is wrong at night needs the figures, and finished days are counted, so that they cost the primary little. A replica that
        is lost in the middle of a report fails that report.
        """
        with self._connection() as connection, Session(connection) as session:
            yield session

    def _connection(self) -> Connection:
        if self._replica is not None:
            try:
                return self._replica.connect()
            except DBAPIError as error:
                structlog.get_logger().warning("replica_unavailable", reason=type(error.orig).__name__)
        return self._primary.connect()

    def dispose(self) -> None:
        for engine in (self._primary, self._replica):
            if engine is not None:
                engine.dispose()


def report_engine(url: str) -> Engine:
    """Connects to nothing."""
    return create_engine(sqlalchemy_url(url), **engine_options(OPTIONS))
