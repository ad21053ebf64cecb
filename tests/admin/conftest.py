"""Dashboards of whole applications, on a real database and a real Valkey."""

import secrets
from collections.abc import Iterator

import pytest
from flask import Flask

from app import assemble
from config import load_settings
from database import db
from tests.admin.dashboard import Dashboard
from tests.whole.environment import EVERYTHING, production_environment

SECRET_KEY = secrets.token_urlsafe(48)


@pytest.fixture
def dashboard_environment() -> dict[str, str]:
    """What a test changes in the environment."""
    return {}


@pytest.fixture(scope="module")
def assembled() -> dict[str, Flask]:
    """Applications that were used, by their environment. Making one costs 150 ms."""
    return {}


@pytest.fixture
def dashboard(
    kept_database_url: str, redis_url: str, dashboard_environment: dict[str, str], assembled: dict[str, Flask]
) -> Iterator[Dashboard]:
    environ = production_environment(kept_database_url, "https://predict.example.com", redis_url)
    environ |= {**EVERYTHING, "SECRET_KEY": SECRET_KEY, **dashboard_environment}
    name = repr(sorted(environ.items()))
    if name not in assembled:
        assembled[name] = assemble(load_settings(environ))
    app = assembled[name]
    yield Dashboard(app)
    with app.app_context():
        db.engine.dispose()
