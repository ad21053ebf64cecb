"""The whole application with image solving on, over PostgreSQL, beside the stand-in for OpenAI."""

import secrets
from base64 import b64encode
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
from tests.canary import PROMPT
from tests.capabilities.solve.made_pictures import formula
from tests.databases import MigratedDatabases
from tests.whole.environment import PUBLIC_HOST, production_environment

BASE = f"https://{PUBLIC_HOST}"
SOLVE = "/api/gateway/solve"


def base64(data: bytes) -> str:
    return b64encode(data).decode()


@dataclass
class RunningSolve:
    app: Flask
    ai: AIServer
    url: str

    def register(self, tier: Tier | None = None) -> "Customer":
        body = {"email": f"{secrets.token_hex(6)}@example.com", "password": PASSWORD}
        elsewhere = {
            "X-Forwarded-For": f"2001:db8:{secrets.randbelow(0xFFFF):x}::1"
        }  # few may register from one address
        answer = self.app.test_client().post("/api/auth/register", json=body, base_url=BASE, headers=elsewhere)
        assert answer.status_code == 201, answer.text
        told = answer.get_json()
        if tier is not None:
            given = self.flask("users", "set-tier", body["email"], tier.value)
            assert given.exit_code == 0, given.output
        return Customer(self, told["user"]["id"], told["access_token"], body["email"])

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
    running: RunningSolve
    id: str
    token: str
    email: str

    def key(self) -> dict[str, Any]:
        """An API key that may solve."""
        made = self.call("POST", "/api/auth/tokens", json={"name": "robot", "scopes": ["solve"]})
        assert made.status_code == 201, made.text
        return dict(made.get_json())

    def call(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> TestResponse:
        sent = {**bearer(self.token), **({} if key is None else {"Idempotency-Key": key}), **(headers or {})}
        return self.running.app.test_client().open(path, method=method, headers=sent, base_url=BASE, **options)

    def solve(self, picture: bytes | str | None = None, *, key: str | None = None, **fields: Any) -> TestResponse:
        """`picture` as bytes, or the text that stands in their place."""
        image = base64(formula() if picture is None else picture) if not isinstance(picture, str) else picture
        return self.call("POST", SOLVE, key=key, json={"image": image, "prompt": PROMPT, **fields})

    def solve_form(self, picture: bytes | None, *, key: str | None = None, **fields: str) -> TestResponse:
        """As a file whose name and type say something else."""
        part = b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
        parts = [part % (name.encode(), b"", text.encode(errors="surrogateescape")) for name, text in fields.items()]
        if picture is not None:
            parts.append(part % (b"image", b'; filename="x.exe"\r\nContent-Type: application/x-msdownload', picture))
        body = b"".join((*parts, b"--b--\r\n"))
        return self.call("POST", SOLVE, key=key, data=body, content_type="multipart/form-data; boundary=b")

    def log(self) -> list[dict[str, Any]]:
        return self.running.rows("SELECT * FROM request_logs WHERE user_id = %s ORDER BY id", self.id)

    def charges(self) -> list[dict[str, Any]]:
        return self.running.rows("SELECT * FROM charges WHERE user_id = %s ORDER BY request_id", self.id)

    def used(self) -> dict[str, int]:
        """By unit and window, without what is nothing."""
        counters = self.running.rows("SELECT * FROM usage_counters WHERE user_id = %s AND used > 0", self.id)
        return {f"{each['unit']} {each['window']}": each["used"] for each in counters}

    def held(self) -> int:
        return len(self.running.rows("SELECT 1 FROM usage_reservations WHERE user_id = %s", self.id))


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


Start = Callable[..., RunningSolve]


@contextmanager
def running_solve(
    database_url: str, ai: AIServer, redis_url: str | None = None, **changes: str
) -> Iterator[RunningSolve]:
    environ = {
        **production_environment(database_url, "https://predict.example.com", redis_url),
        "OPENAI_API_KEY": ai.keys["openai"],
        "OPENAI_BASE_URL": ai.base_url("openai"),
        "OPENAI_TIMEOUT_S": "30",
        **changes,
    }
    app = assemble(load_settings(environ))
    try:
        yield RunningSolve(app, ai, database_url)
    finally:
        with app.app_context():
            db.engine.dispose()


@pytest.fixture(scope="module")
def running_of_module(migrated_databases: MigratedDatabases, ai_of_session: AIServer) -> Iterator[RunningSolve]:
    with migrated_databases.one() as url, running_solve(url, ai_of_session) as running:
        yield running


@pytest.fixture
def running(running_of_module: RunningSolve, ai: AIServer) -> RunningSolve:
    """Its database is shared by the tests of a module: each has customers of its own."""
    return running_of_module


@pytest.fixture
def start(database_url: str, ai: AIServer) -> Iterator[Start]:
    """With other settings, on a database of the test's own."""
    with ExitStack() as started:
        yield lambda redis_url=None, **changes: started.enter_context(
            running_solve(database_url, ai, redis_url, **changes)
        )
