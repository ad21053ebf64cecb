"""A realtime process, and an application on its database that makes accounts for it."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from admin.assembled import ASSEMBLED
from app import assemble
from auth.assembly import Auth
from config import load_settings
from database import db
from tests.auth.accounts_app import PASSWORD, bearer
from tests.databases import MigratedDatabases, ask
from tests.realtime.program import DECLARED
from tests.realtime.raw_socket import as_a_proxy
from tests.realtime.realtime_process import RealtimeProcess
from tests.whole.environment import PUBLIC_HOST, production_environment

MOST_SOCKETS = 12
PER_ADDRESS = 3
METRICS_TOKEN = secrets.token_urlsafe(48)


@dataclass(frozen=True)
class Person:
    accounts: "Accounts"
    user_id: UUID
    session_id: UUID
    token: str

    def call(self, method: str, path: str, body: Any = None) -> Any:
        client = self.accounts.app.test_client()
        headers = bearer(self.token)
        answer = client.open(path, method=method, json=body, headers=headers, base_url=f"https://{PUBLIC_HOST}")
        assert answer.status_code < 400, answer.text
        return answer.get_json() if answer.data else None

    def key(self, *scopes: str) -> Any:
        return self.call("POST", "/api/auth/tokens", {"name": "a robot", "scopes": scopes})

    def token_for(self, **lifetime: float) -> str:
        """Another access token of the same session."""
        now = datetime.now(UTC)
        issued = self.accounts.auth.access_tokens.issue(
            user_id=self.user_id, session_id=self.session_id, auth_time=now, not_after=now + timedelta(**lifetime)
        )
        return issued.text


@dataclass(frozen=True)
class Accounts:
    app: Flask
    auth: Auth
    database_url: str

    def person(self, tier: str = "free") -> Person:
        address = f"alice-{secrets.token_hex(6)}@example.com"
        answer = self.app.test_client().post(
            "/api/auth/register",
            json={"email": address, "password": PASSWORD},
            base_url=f"https://{PUBLIC_HOST}",
            headers=as_a_proxy(),
        )
        assert answer.status_code == 201, answer.text
        made = answer.get_json()
        claims = self.auth.access_tokens.verify(made["access_token"])
        ask(self.database_url, f"UPDATE users SET tier = '{tier}' WHERE id = '{claims.user_id}'")
        return Person(self, claims.user_id, claims.session_id, made["access_token"])


@pytest.fixture(scope="session")
def environ(migrated_databases: MigratedDatabases, valkey_server: str) -> Iterator[dict[str, str]]:
    with migrated_databases.one() as url:
        yield {
            **production_environment(url, "https://predict.example.com", valkey_server),
            "CAPABILITIES": "predict,toy,toymessages",
            "REALTIME_MAX_SOCKETS": str(MOST_SOCKETS),
            "REALTIME_MAX_PER_ADDRESS": str(PER_ADDRESS),
            "METRICS_TOKEN": METRICS_TOKEN,
            "LOG_LEVEL": "DEBUG",
            "BLOCKBUSTER": "1",
        }


@pytest.fixture(scope="session")
def accounts(environ: dict[str, str]) -> Iterator[Accounts]:
    app = assemble(load_settings(environ, capabilities=DECLARED), DECLARED)
    yield Accounts(app, app.extensions[ASSEMBLED].auth, environ["DATABASE_URL"])
    with app.app_context():
        db.engine.dispose()
    app.extensions[ASSEMBLED].auth.redis.close()


@pytest.fixture(scope="session")
def realtime(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealtimeProcess]:
    """One for all tests that break nothing."""
    process = RealtimeProcess(environ, tmp_path_factory.mktemp("realtime"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
def own_realtime(environ: dict[str, str], tmp_path: Path) -> Iterator[RealtimeProcess]:
    """One that this test may stop."""
    process = RealtimeProcess(environ, tmp_path)
    process.start()
    yield process
    process.stop()
