"""An export of the whole application: every package's part is in it, and a real worker collects it."""

import asyncio
from collections.abc import Iterator

import pytest
from flask import Flask

from admin.assembled import ASSEMBLED, Assembled
from app import assemble
from config import Settings, load_settings
from database import db
from database.jobs.run_worker import run_worker
from database.jobs.worker_options import WorkerOptions
from examples.private_server.server import PrivateServer
from tests.auth.accounts_app import PASSWORD, bearer
from tests.conftest import administer
from tests.whole.environment import PUBLIC_HOST, production_environment

pytestmark = pytest.mark.slow  # a server is started for it

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
    columns = 'user_id, feature, unit, "window", used'
    values = f"'{alice['user']['id']}', 'predict', 'call', '2026-11-27', 3"
    administer(database_url, f"INSERT INTO usage_counters ({columns}) VALUES ({values})")
    begun = client.post("/api/auth/export", headers=bearer(token), base_url=BASE)
    assert begun.status_code == 202

    made: Assembled = server.extensions[ASSEMBLED]
    asyncio.run(run_worker(server, made.jobs, database_url, WorkerOptions(), once=True))

    path = f"/api/auth/export/{begun.get_json()['id']}"
    answer = client.get(path, headers=bearer(token), base_url=BASE)
    assert answer.status_code == 200, answer.text
    parts = answer.get_json()["parts"]
    assert set(parts) == {"account", "chat", "gateway", "payments", "shop", "terminal"}
    counted = {"feature": "predict", "unit": "call", "window": "2026-11-27", "used": 3, "allowed": None}
    assert parts["gateway"]["usage"] == [counted]
