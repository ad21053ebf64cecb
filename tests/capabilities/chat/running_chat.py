"""The whole application with chat on, over PostgreSQL, beside the stand-in for all four providers."""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg2
from flask import Flask
from psycopg2.extras import RealDictCursor
from werkzeug.test import TestResponse

from app import assemble
from auth.tiers import Tier
from config import load_settings
from database import db
from sandbox.ai_server.server import AIServer
from tests.auth.accounts_app import PASSWORD, bearer
from tests.metering.limit_backends import eventually
from tests.whole.environment import PUBLIC_HOST, production_environment

BASE = f"https://{PUBLIC_HOST}"
MESSAGES = "/api/gateway/chat/messages"
EVENT_STREAM = {"Accept": "text/event-stream"}
OPENAI_MODEL = "gpt-6-luna"
SECRET_KEY = secrets.token_urlsafe(48)
"""Of all processes: what one signs, the others take."""


@dataclass(frozen=True)
class ServerEvent:
    """`name` is None for a comment."""

    name: str | None
    id: str | None = None
    data: Any = None

    @property
    def position(self) -> int:
        assert self.id is not None
        return int(self.id.rpartition(":")[2])


@dataclass
class EventReader:
    """The events of an answer, each as soon as it was sent."""

    answer: TestResponse
    seen: list[ServerEvent] = field(default_factory=list)

    def __iter__(self) -> Iterator[ServerEvent]:
        rest = b""
        for part in self.answer.response:
            rest += part if isinstance(part, bytes) else part.encode()
            *events, rest = rest.split(b"\n\n")
            for each in map(event_of, events):
                self.seen.append(each)
                yield each

    def until(self, name: str) -> ServerEvent:
        return next(each for each in self if each.name == name)

    def to_end(self) -> list[ServerEvent]:
        for _ in self:
            pass
        return self.seen

    @property
    def text(self) -> str:
        return "".join(each.data["text"] for each in self.seen if each.name == "delta")

    @property
    def last(self) -> ServerEvent:
        return self.seen[-1]


def event_of(block: bytes) -> ServerEvent:
    members = dict(line.split(": ", 1) for line in block.decode().splitlines())
    if "" in members:
        return ServerEvent(None)
    return ServerEvent(members["event"], members.get("id"), json.loads(members["data"]))


@dataclass
class RunningChat:
    app: Flask
    ai: AIServer
    url: str

    def register(self, tier: Tier | None = Tier.TEAM) -> "Customer":
        body = {"email": f"{secrets.token_hex(6)}@example.com", "password": PASSWORD}
        elsewhere = {
            "X-Forwarded-For": f"2001:db8:{secrets.randbelow(0xFFFF):x}::1"
        }  # few may register from one address
        answer = self.app.test_client().post("/api/auth/register", json=body, base_url=BASE, headers=elsewhere)
        assert answer.status_code == 201, answer.text
        told = answer.get_json()
        if tier is not None:
            given = self.app.test_cli_runner().invoke(args=["users", "set-tier", body["email"], tier.value])
            assert given.exit_code == 0, given.output
        return Customer(self, told["user"]["id"], told["access_token"])

    def rows(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        with closing(psycopg2.connect(self.url, cursor_factory=RealDictCursor)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return [dict(row) for row in cursor.fetchall()] if cursor.description else []


@dataclass
class Customer:
    """`before`: what the account had used when the test began, which does not count in it."""

    running: RunningChat
    id: str
    token: str
    before: Mapping[str, int] = field(default_factory=dict)
    calls_before: int = 0

    def elsewhere(self, running: RunningChat) -> "Customer":
        """The same person at another process."""
        return replace(self, running=running)

    def from_now_on(self) -> "Customer":
        now = replace(self, before={}, calls_before=0)
        return replace(self, before=now.used(), calls_before=len(now.log()))

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

    def send(self, content: str = "hello", *, key: str | None = None, **fields: Any) -> TestResponse:
        return self.call("POST", MESSAGES, key=key, json={"content": content, **fields})

    def stream(self, content: str = "hello", *, key: str | None = None, **fields: Any) -> EventReader:
        answer = self.call("POST", MESSAGES, key=key, headers=EVENT_STREAM, json={"content": content, **fields})
        assert answer.status_code == 200, answer.text
        return EventReader(answer)

    def follow(self, message_id: str, after: int | None = None, **headers: str) -> EventReader:
        answer = self.try_to_follow(message_id, after, **headers)
        assert answer.status_code == 200, answer.text
        return EventReader(answer)

    def try_to_follow(self, message_id: str, after: int | None = None, **headers: str) -> TestResponse:
        query = "" if after is None else f"?after={after}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.call("GET", f"{MESSAGES}/{message_id}/stream{query}", headers=named)

    def stop(self, message_id: str) -> TestResponse:
        return self.call("POST", f"{MESSAGES}/{message_id}/stop")

    def message(self, message_id: str) -> dict[str, Any]:
        answer = self.call("GET", f"{MESSAGES}/{message_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json())

    def log(self) -> list[dict[str, Any]]:
        rows = self.running.rows("SELECT * FROM request_logs WHERE user_id = %s ORDER BY created_at, id", self.id)
        return rows[self.calls_before :]

    def used(self) -> dict[str, int]:
        """By unit, without what is nothing."""
        counters = self.running.rows("SELECT * FROM usage_counters WHERE user_id = %s AND used > 0", self.id)
        used = {each["unit"]: each["used"] - self.before.get(each["unit"], 0) for each in counters}
        return {unit: amount for unit, amount in used.items() if amount}

    def held(self) -> int:
        counted = "SELECT 1 FROM usage_reservations WHERE user_id = %s AND lease_until > clock_timestamp()"
        return len(self.running.rows(counted, self.id))


def chat_environment(database_url: str, ai: AIServer, redis_url: str | None = None, **changes: str) -> dict[str, str]:
    environ = production_environment(database_url, "https://predict.example.com", redis_url)
    environ |= {"CHAT_DRAIN_S": "0", "SECRET_KEY": SECRET_KEY}
    for face, key in ai.keys.items():
        environ |= {f"{face.upper()}_API_KEY": key, f"{face.upper()}_BASE_URL": ai.base_url(face)}
    return environ | changes


@contextmanager
def running_chat(
    database_url: str, ai: AIServer, redis_url: str | None = None, **changes: str
) -> Iterator[RunningChat]:
    app = assemble(load_settings(chat_environment(database_url, ai, redis_url, **changes)))
    try:
        yield RunningChat(app, ai, database_url)
    finally:
        for drain in app.extensions["drains"]:
            drain.drain()
            assert eventually(drain.drained)
        with app.app_context():
            db.engine.dispose()
