"""The whole application with the terminal on, over PostgreSQL and Valkey."""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg2
from flask import Flask
from psycopg2.extras import RealDictCursor
from werkzeug.test import TestResponse

from admin.assembled import ASSEMBLED, Assembled
from app import assemble
from auth.principal import Principal
from auth.tiers import Tier
from config import load_settings
from database import db
from tests.auth.accounts_app import PASSWORD, bearer
from tests.whole.environment import PUBLIC_HOST, production_environment

BASE = f"https://{PUBLIC_HOST}"
SESSIONS = "/api/terminal/sessions"
PROFILES, KEYS, KNOWN_HOSTS = (f"/api/terminal/ssh/{name}" for name in ("profiles", "keys", "known-hosts"))


@dataclass
class RunningTerminal:
    app: Flask
    url: str
    redis_url: str

    def register(self, tier: Tier = Tier.PRO, role: str = "user") -> "Customer":
        body = {"email": f"{secrets.token_hex(6)}@example.com", "password": PASSWORD}
        elsewhere = {"X-Forwarded-For": f"2001:db8:{secrets.randbelow(0xFFFF):x}::1"}
        answer = self.app.test_client().post("/api/auth/register", json=body, base_url=BASE, headers=elsewhere)
        assert answer.status_code == 201, answer.text
        told = answer.get_json()
        customer = Customer(self, told["user"]["id"], told["access_token"])
        customer.becomes(tier, role)
        return customer

    @property
    def made(self) -> Assembled:
        made: Assembled = self.app.extensions[ASSEMBLED]
        return made

    def rows(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        with closing(psycopg2.connect(self.url, cursor_factory=RealDictCursor)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return [dict(row) for row in cursor.fetchall()] if cursor.description else []


@dataclass
class Customer:
    running: RunningTerminal
    id: str
    token: str

    def becomes(self, tier: Tier, role: str = "user") -> None:
        change = "UPDATE users SET tier = %s, role = %s, state_version = state_version + 1 WHERE id = %s"
        (changed,) = self.running.rows(f"{change} RETURNING state_version", tier.value, role, self.id)
        with self.running.app.app_context():
            self.running.made.auth.states.changed(UUID(self.id), changed["state_version"])

    def call(self, method: str, path: str, body: object = None, *, token: str | None = None) -> TestResponse:
        options: dict[str, Any] = {} if body is None else {"json": body}
        headers = bearer(token or self.token)
        return self.running.app.test_client().open(path, method=method, headers=headers, base_url=BASE, **options)

    def elsewhere(self, running: RunningTerminal) -> "Customer":
        """At another process."""
        return Customer(running, self.id, self.token)

    def signed_in_again(self) -> "Customer":
        """On another device."""
        (user,) = self.running.rows("SELECT email FROM users WHERE id = %s", self.id)
        body = {"email": user["email"], "password": PASSWORD}
        answer = self.running.app.test_client().post("/api/auth/login", json=body, base_url=BASE)
        assert answer.status_code == 200, answer.text
        return Customer(self.running, self.id, answer.get_json()["access_token"])

    @property
    def principal(self) -> Principal:
        """What a guard makes of the token."""
        session_id = self.running.made.auth.access_tokens.verify(self.token).session_id
        return Principal(UUID(self.id), session_id, Tier.PRO, None)

    def token_of(self, proved_at: datetime) -> str:
        """Of the same session, whose user proved who it is at that time."""
        auth = self.running.made.auth
        issued = auth.access_tokens.issue(
            user_id=UUID(self.id),
            session_id=self.principal.session_id,
            auth_time=proved_at,
            not_after=datetime.now(UTC) + timedelta(hours=1),
        )
        return issued.text

    def add_key(self, **fields: Any) -> dict[str, Any]:
        answer = self.call("POST", KEYS, fields or {"name": "laptop", "generate": "ed25519"})
        assert answer.status_code == 201, answer.text
        return dict(answer.get_json())

    def profile(self, **fields: Any) -> dict[str, Any]:
        answer = self.call("POST", PROFILES, profile_body(**fields))
        assert answer.status_code == 201, answer.text
        return dict(answer.get_json())

    def try_profile(self, profile_id: str, **secrets_of_user: str) -> dict[str, Any]:
        answer = self.call("POST", f"{PROFILES}/{profile_id}/test", secrets_of_user)
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json())

    def asks_for_session(self, **fields: Any) -> TestResponse:
        body = {"session_type": "ssh", **fields}
        if "ssh_profile_id" not in fields:
            body["ssh_profile_id"] = self.profile()["id"]
        return self.call("POST", SESSIONS, body)

    def session(self, **fields: Any) -> dict[str, Any]:
        answer = self.asks_for_session(**fields)
        assert answer.status_code == 201, answer.text
        return dict(answer.get_json())

    def shown(self, session_id: str) -> dict[str, Any]:
        answer = self.call("GET", f"{SESSIONS}/{session_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json())

    def accept(self, port: int, fingerprint: str, host: str = "127.0.0.1") -> TestResponse:
        return self.call("POST", KNOWN_HOSTS, {"host": host, "port": port, "fingerprint": fingerprint})

    def terminal_sessions(self) -> list[dict[str, Any]]:
        """The newest first."""
        answer = self.call("GET", SESSIONS)
        assert answer.status_code == 200, answer.text
        return list(answer.get_json()["sessions"])

    def events(self, kind: str = "ssh") -> list[dict[str, Any]]:
        found = "SELECT event, detail FROM security_events WHERE user_id = %s AND event LIKE %s ORDER BY id"
        return self.running.rows(found, self.id, f"{kind}_%")


def profile_body(**fields: Any) -> dict[str, Any]:
    usual = {"name": secrets.token_hex(4), "host": "127.0.0.1", "port": 2222, "username": "deploy", "auth": "password"}
    return {**usual, **fields}


def connects_again(customer: Customer) -> None:
    """As if a minute had passed for this user, and not for the servers."""
    client = customer.running.made.auth.redis.client()
    assert client is not None
    if counted := list(client.scan_iter("*ssh*user*")):
        client.delete(*counted)


def terminal_environment(database_url: str, redis_url: str, **changes: str) -> dict[str, str]:
    environ = production_environment(database_url, "https://predict.example.com", redis_url)
    environ |= {"CAPABILITIES": "terminal", "SECRET_KEY": SECRET_KEY, "TERMINAL_ALLOWED_NETWORKS": "127.0.0.1/32"}
    environ["TERMINAL_PAGE"] = "on"
    return environ | changes


@contextmanager
def running_terminal(database_url: str, redis_url: str, **changes: str) -> Iterator[RunningTerminal]:
    app = assemble(load_settings(terminal_environment(database_url, redis_url, **changes)))
    try:
        yield RunningTerminal(app, database_url, redis_url)
    finally:
        with app.app_context():
            db.engine.dispose()


SECRET_KEY = secrets.token_urlsafe(48)
"""Of all processes: what one signs, the others take."""
