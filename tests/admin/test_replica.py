"""Reports with a real streaming replica."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask_migrate import upgrade
from sqlalchemy import text
from structlog.testing import capture_logs

from app import assemble
from config import load_settings
from database import db, reading_report
from sandbox.postgres import EmbeddedPostgres
from tests.admin.reporting import Reporting
from tests.bare_app import bare_app
from tests.databases import ask
from tests.streaming_replica import StreamingReplica
from tests.whole.environment import production_environment

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Replicated:
    reporting: Reporting
    primary_url: str
    replica: StreamingReplica

    def calls(self) -> int:
        """Of yesterday, as the report says."""
        yesterday = self.reporting.today() - timedelta(days=1)
        rows: list[dict[str, Any]] = self.reporting.report("usage", **{"from": yesterday, "to": yesterday})
        return sum(row["calls"] for row in rows)

    def read_on_a_replica(self) -> bool:
        with self.reporting.app.app_context(), reading_report() as session:
            return bool(session.scalar(text("SELECT pg_is_in_recovery()")))


@pytest.fixture
def replicated(own_postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Replicated]:
    primary_url = own_postgres.ensure_database("mirroros")
    with bare_app(primary_url).app_context():
        upgrade()
        db.engine.dispose()
    replica = StreamingReplica(tmp_path / "replica", durable=False, primary=own_postgres)
    replica.start()
    environ = {
        **production_environment(primary_url, "https://predict.example.com"),
        "DATABASE_REPLICA_URL": replica.url("mirroros"),
    }
    reporting = Reporting(assemble(load_settings(environ)))
    yield Replicated(reporting, primary_url, replica)
    replica.discard()


def test_reports_come_from_the_replica_and_from_the_primary_while_it_is_away(replicated: Replicated) -> None:
    reporting, replica = replicated.reporting, replicated.replica
    yesterday = reporting.today() - timedelta(days=1)
    reporting.log(reporting.call(yesterday))
    reporting.count()
    replica.catch_up()
    assert replicated.calls() == 1
    assert replicated.read_on_a_replica()

    ask(replica.url("mirroros"), "SELECT pg_wal_replay_pause()")
    ask(replicated.primary_url, "ALTER VIEW analytics_usage RENAME TO elsewhere")
    assert replicated.calls() == 1  # the primary could not say

    ask(replicated.primary_url, "ALTER VIEW elsewhere RENAME TO analytics_usage", "UPDATE usage_by_day SET calls = 7")
    assert replicated.calls() == 1
    replica.stop()
    with capture_logs() as logs:
        assert replicated.calls() == 7
    assert "replica_unavailable" in [line["event"] for line in logs]

    replica.start()
    replica.catch_up()
    assert replicated.read_on_a_replica()
    assert replicated.calls() == 7
