"""Reports are read on connections of their own, from the replica where there is one."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import InternalError
from structlog.testing import capture_logs

from database.reports import Reports

NOBODY = "postgresql://alice@127.0.0.1:1/x"


@pytest.fixture
def reports(kept_database_url: str) -> Iterator[Reports]:
    reports = Reports(kept_database_url, None)
    yield reports
    reports.dispose()


def test_a_report_may_take_long_and_writes_nothing(reports: Reports) -> None:
    with reports.reading() as session:
        assert session.scalar(text("SHOW statement_timeout")) == "30s"
        with pytest.raises(InternalError, match="read-only"):
            session.execute(text("DELETE FROM users"))


def test_while_the_replica_is_away_the_primary_answers_and_the_log_says_so(kept_database_url: str) -> None:
    reports = Reports(kept_database_url, NOBODY)
    with capture_logs() as logs, reports.reading() as session:
        assert session.scalar(text("SELECT 1")) == 1
    assert [line["event"] for line in logs] == ["replica_unavailable"]
    reports.dispose()
