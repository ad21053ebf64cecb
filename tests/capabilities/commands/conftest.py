"""The whole application with help for commands on, over PostgreSQL, beside the stand-in for OpenRouter."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2
import pytest
from click.testing import Result
from flask import Flask
from psycopg2.extras import RealDictCursor
from werkzeug.test import TestResponse

from app import assemble
from auth.tiers import Tier
from config import load_settings
from database import db
from sandbox.ai_server.server import AIServer
from tests.auth.accounts_app import PASSWORD, bearer
from tests.databases import MigratedDatabases
from tests.whole.environment import PUBLIC_HOST, production_environment

BASE = f"https://{PUBLIC_HOST}"
COMMANDS = "/api/gateway/commands"
BODIES: Mapping[str, Mapping[str, Any]] = {
    "suggest": {"description": "find files over 1 GB"},
    "explain": {"command": "find / -size +1G"},
    "explain-error": {"command": "cat x", "output": "cat: x: No such file or directory", "exit_status": 1},
    "optimize": {"command": "cat x | grep y"},
}
"""One good body for each question."""


@dataclass
class RunningCommands:
    app: Flask
    ai: AIServer
    url: str

    def register(self, tier: Tier | None = None) -> "Customer":
        body = {"email": f"{secrets.token_hex(6)}@example.com", "password": PASSWORD}
        elsewhere = {"X-Forwarded-For": f"2001:db8:{secrets.randbelow(0xFFFF):x}::1"}  # few register from one address
        answer = self.app.test_client().post("/api/auth/register", json=body, base_url=BASE, headers=elsewhere)
        assert answer.status_code == 201, answer.text
        told = answer.get_json()
        if tier is not None:
            assert self.flask("users", "set-tier", body["email"], tier.value).exit_code == 0
        return Customer(self, told["user"]["id"], told["access_token"])

    def flask(self, *arguments: str) -> Result:
        return self.app.test_cli_runner().invoke(args=arguments)

    def rows(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        with closing(psycopg2.connect(self.url, cursor_factory=RealDictCursor)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return [dict(row) for row in cursor.fetchall()]


@dataclass
class Customer:
    running: RunningCommands
    id: str
    token: str

    def api_key(self, *scopes: str) -> str:
        made = self.post("/api/auth/tokens", {"name": "robot", "scopes": list(scopes)})
        assert made.status_code == 201, made.text
        return str(made.get_json()["token"])

    def post(self, path: str, body: object, headers: Mapping[str, str] | None = None) -> TestResponse:
        sent = {**bearer(self.token), **(headers or {})}
        return self.running.app.test_client().post(path, json=body, headers=sent, base_url=BASE)

    def ask(
        self, question: str = "suggest", *, key: str | None = None, idempotency_key: str | None = None, **fields: Any
    ) -> TestResponse:
        """`key`: the one of OpenRouter; that of the stand-in by default."""
        headers = {"X-OpenRouter-Key": key or self.running.ai.keys["openrouter"]}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        return self.post(f"{COMMANDS}/{question}", {**BODIES.get(question, {}), **fields}, headers)

    def log(self) -> list[dict[str, Any]]:
        return self.running.rows("SELECT * FROM request_logs WHERE user_id = %s ORDER BY id", self.id)

    def used(self, unit: str = "call") -> int:
        found = self.running.rows(
            "SELECT coalesce(sum(used), 0)::int AS used FROM usage_counters WHERE user_id = %s AND unit = %s",
            self.id,
            unit,
        )
        return int(found[0]["used"])


@pytest.fixture(scope="session")
def ai_of_session() -> Iterator[AIServer]:
    server = AIServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def ai(ai_of_session: AIServer) -> AIServer:
    ai_of_session.next.clear()
    ai_of_session.books.clear()
    return ai_of_session


Start = Callable[..., RunningCommands]


@contextmanager
def running_commands(
    database_url: str, ai: AIServer, redis_url: str | None = None, **changes: str
) -> Iterator[RunningCommands]:
    environ = {
        **production_environment(database_url, "https://predict.example.com", redis_url),
        "CAPABILITIES": "commands",
        "COMPAT_ROUTES": "on",
        "OPENROUTER_BASE_URL": ai.base_url("openrouter"),
        **changes,
    }
    app = assemble(load_settings(environ))
    try:
        yield RunningCommands(app, ai, database_url)
    finally:
        with app.app_context():
            db.engine.dispose()


@pytest.fixture(scope="session")
def running_of_session(migrated_databases: MigratedDatabases, ai_of_session: AIServer) -> Iterator[RunningCommands]:
    with migrated_databases.one() as url, running_commands(url, ai_of_session) as running:
        yield running


@pytest.fixture
def running(running_of_session: RunningCommands, ai: AIServer) -> RunningCommands:
    """Its database is shared by all tests: each has customers of its own."""
    return running_of_session


@pytest.fixture(scope="session")
def alice_of_session(running_of_session: RunningCommands) -> Customer:
    return running_of_session.register(Tier.ENTERPRISE)


@pytest.fixture(scope="session")
def bob_of_session(running_of_session: RunningCommands) -> Customer:
    return running_of_session.register()


@pytest.fixture
def alice(running: RunningCommands, alice_of_session: Customer) -> Customer:
    """Of the plan without a limit for the day. She has not asked anything yet."""
    return as_new(alice_of_session)


@pytest.fixture
def bob(running: RunningCommands, bob_of_session: Customer) -> Customer:
    """Of the free plan, as new."""
    return as_new(bob_of_session)


def as_new(customer: Customer) -> Customer:
    tables = ("usage_counters", "usage_gates", "request_logs", "idempotency_keys")
    for table in tables:
        customer.running.rows(f"DELETE FROM {table} WHERE user_id = %s RETURNING 1", customer.id)
    return customer


@pytest.fixture
def start(database_url: str, ai: AIServer) -> Iterator[Start]:
    """With other settings, on a database of the test's own."""
    with ExitStack() as started:
        yield lambda redis_url=None, **changes: started.enter_context(
            running_commands(database_url, ai, redis_url, **changes)
        )
