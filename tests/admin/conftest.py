"""Dashboards of whole applications, on a real database and a real Valkey."""

import secrets
from collections.abc import Iterator
from typing import cast

import pytest
from flask import Flask
from sqlalchemy import Engine

from app import assemble
from config import load_settings
from database import db
from tests.admin.dashboard import Dashboard
from tests.bare_app import kept_engines
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
