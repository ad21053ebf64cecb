"""Dashboards and reports of whole applications, on a real database and a real Valkey."""

import secrets
from collections.abc import Iterator
from typing import cast

import pytest
from flask import Flask
from sqlalchemy import Engine

from app import assemble
from config import load_settings
from database import db
from database.reports import REPORTS
from tests.admin.dashboard import Dashboard
from tests.admin.reporting import Reporting
from tests.bare_app import kept_engines
from tests.databases import TABLES, MigratedDatabases
from tests.whole.environment import EVERYTHING, production_environment

SECRET_KEY = secrets.token_urlsafe(48)
Made = dict[tuple[str, frozenset[tuple[str, str]]], Flask]


@pytest.fixture(scope="session")
def made_dashboards() -> Iterator[Made]:
    """Applications by their database and what was changed in their environment. Making one costs 0.2 seconds."""
    made: Made = {}
    yield made
    for app in made.values():
        with app.app_context():
            db.engine.dispose()


@pytest.fixture
def dashboard_environment() -> dict[str, str]:
    """What a test changes in the environment."""
    return {}


@pytest.fixture
def dashboard(
    kept_database_url: str, redis_url: str, dashboard_environment: dict[str, str], made_dashboards: Made
) -> Dashboard:
    kind = kept_database_url, frozenset(dashboard_environment.items())
    if kind not in made_dashboards:
        environ = production_environment(kept_database_url, "https://predict.example.com", redis_url)
        changed = {**environ, **EVERYTHING, "SECRET_KEY": SECRET_KEY, **dashboard_environment}
        app = made_dashboards[kind] = assemble(load_settings(changed))
        with app.app_context():
            engines = cast(dict[str | None, Engine], db.engines)
            engines[None] = kept_engines[kept_database_url].shared(db.engine)
    return Dashboard(made_dashboards[kind])


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
