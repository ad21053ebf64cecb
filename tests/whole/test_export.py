"""An export of the whole application: every package's part is in it, and a real worker collects it."""

import asyncio
from collections.abc import Iterator

import pytest
from flask import Flask

from app import accounts_of, assemble, background_jobs, payments_of
from config import load_settings
from database import db
from database.jobs.run_worker import run_worker
from database.jobs.worker_options import WorkerOptions
from database.redis.server import RedisServer
from examples.private_server.server import PrivateServer
from settings.model import Settings
from tests.auth.accounts_app import PASSWORD, bearer
from tests.conftest import administer
from tests.whole.environment import PUBLIC_HOST, production_environment

BASE = f"https://{PUBLIC_HOST}"


@pytest.fixture
def settings(database_url: str, private: PrivateServer) -> Settings:
    return load_settings(production_environment(database_url, private.url))


@pytest.fixture
def server(settings: Settings) -> Iterator[Flask]:
    server = assemble(settings)
    yield server
    with server.app_context():
        db.engine.dispose()


def test_what_the_gateway_counted_is_in_an_export(server: Flask, settings: Settings, database_url: str) -> None:
    client = server.test_client()
    credentials = {"email": "alice@example.com", "password": PASSWORD}
    alice = client.post("/api/auth/register", json=credentials, base_url=BASE).get_json()
    token = alice["access_token"]
    insert = 'INSERT INTO usage_counters (user_id, feature, used, unit, "window") VALUES'
    administer(database_url, f"{insert} ('{alice['user']['id']}', 'predict', 3, 'call', '2026-11-27')")
    begun = client.post("/api/auth/export", headers=bearer(token), base_url=BASE)
    assert begun.status_code == 202

    auth = accounts_of(settings, RedisServer(None))
    jobs = background_jobs(auth, payments_of(settings, database_url, auth))
    asyncio.run(run_worker(server, jobs, database_url, WorkerOptions(), once=True))

    path = f"/api/auth/export/{begun.get_json()['id']}"
    answer = client.get(path, headers=bearer(token), base_url=BASE)
    assert answer.status_code == 200, answer.text
    parts = answer.get_json()["parts"]
    assert set(parts) == {"account", "gateway", "payments"}
    counted = {"feature": "predict", "unit": "call", "window": "2026-11-27", "used": 3, "allowed": None}
    assert parts["gateway"]["usage"] == [counted]
