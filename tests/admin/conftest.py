"""One application for all tests of reports, on a database that is emptied after each."""

from collections.abc import Iterator

import pytest

from app import assemble
from config import load_settings
from database import db
from database.reports import REPORTS
from tests.admin.reporting import Reporting
from tests.databases import TABLES, MigratedDatabases
from tests.whole.environment import production_environment


@pytest.fixture(scope="session")
def whole_app(migrated_databases: MigratedDatabases) -> Iterator[Reporting]:
    with migrated_databases.one() as url:
        environ = {**production_environment(url, "https://predict.example.com"), "FLASK_ENV": "development"}
        app = assemble(load_settings(environ))
        yield Reporting(app)
        app.extensions[REPORTS].dispose()


@pytest.fixture
def reporting(whole_app: Reporting, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reporting]:
    """Nothing has happened yet. Days are counted as far back as these tests need them."""
    monkeypatch.setattr("admin.analytics.count_days.FIRST_DAYS", 6)
    yield whole_app
    tables = [name for (name,) in whole_app.rows(TABLES) if name != "alembic_version"]
    with whole_app.app.app_context():
        with db.engine.begin() as connection:
            connection.exec_driver_sql("DROP FUNCTION IF EXISTS refuse() CASCADE")
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            connection.exec_driver_sql("; ".join(f'DELETE FROM "{name}"' for name in tables))
        db.session.remove()
