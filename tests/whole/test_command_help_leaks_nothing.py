"""The key for OpenRouter that a caller hands in is nowhere after the call: in no row, nothing of Redis, no log, no report to Sentry,
no metric and no answer. It has no shape here that anything masks.
"""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import redis
from psycopg2 import sql

from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from security.logs.folder import FILES
from tests.capabilities.commands.conftest import BODIES, COMMANDS
from tests.conftest import administer
from tests.databases import ask
from tests.metering.limit_backends import eventually
from tests.sentry_ingest import Ingest, sentry_ingest
from tests.whole.conftest import StartWebServer
from tests.whole.environment import production_environment
from tests.whole.web_server import Person, Reply, WebServer

METRICS_TOKEN = secrets.token_urlsafe(48)
SPOILED = (
    "ALTER TABLE request_logs ADD CONSTRAINT spoiled CHECK (response_time_ms < 0) NOT VALID",
    "ALTER TABLE sessions RENAME TO sessions_that_went_away",
)
"""Errors that nobody expected."""


@pytest.fixture
def sentry() -> Iterator[Ingest]:
    with sentry_ingest() as ingest:
        yield ingest


@pytest.fixture
def ai() -> Iterator[AIServer]:
    server = AIServer(keys={"openrouter": f"canary{secrets.token_hex(20)}"})
    server.start()
    yield server
    server.stop()


@pytest.mark.slow
def test_the_key_is_nowhere_after_all_calls(
    start_web_server: StartWebServer,
    *,
    database_url: str,
    redis_url: str,
    ai: AIServer,
    sentry: Ingest,
    tmp_path: Path,
) -> None:
    log_dir = tmp_path / "logs"
    log_dir.mkdir()
    environ = {
        **production_environment(database_url, "https://predict.example.com", redis_url),
        "OPENROUTER_BASE_URL": ai.base_url("openrouter"),
        "OPENROUTER_TIMEOUT_S": "1",
        "LOG_LEVEL": "DEBUG",
        "LOG_DIR": str(log_dir),
        "SENTRY_DSN": sentry.dsn,
        "METRICS_TOKEN": METRICS_TOKEN,
    }
    server = start_web_server(environ, processes=1)
    people = {path: server.register("alice") for path in (*BODIES, "validate-key")}
    ask(database_url, "UPDATE users SET tier = 'enterprise'")
    asking = Asking(server, people, ai)
    asking.everything()
    asking.trouble()
    rows, kept = everything_in(database_url), everything_of(redis.Redis.from_url(redis_url))
    assert '"cause"' in rows or "cause" in rows  # what is kept under an Idempotency-Key
    for statement in SPOILED:
        administer(database_url, statement)
        asking.unexpected()
    metrics = server.get("/metrics", METRICS_TOKEN).body.decode()
    eventually(lambda: len(sentry.events()) >= server.output().count('"exception":'), seconds=30)
    server.stop()

    assert {200, 400, 402, 422, 429, 500, 502, 503, 504} <= {reply.status for reply in asking.replies}
    assert sentry.events()
    logs = {name: (log_dir / name).read_text() for name in FILES}
    answers = "".join(f"{reply.headers}{reply.body.decode()}" for reply in asking.replies)
    told = {"output": server.output(), "Sentry": sentry.text, "metrics": metrics, "answers": answers}
    for place, text in (told | logs | {"rows": rows, "Redis": kept}).items():
        assert text, place
        assert [name for name, key in asking.keys.items() if key in text] == [], place


class Asking:
    """What is asked with a right and a wrong key. `people`: who asks each question, for an hour has only twenty failures of one."""

    def __init__(self, server: WebServer, people: Mapping[str, Person], ai: AIServer) -> None:
        self.server, self.people, self.ai = server, people, ai
        self.keys = {
            "right": ai.keys["openrouter"],
            "wrong": f"canary{secrets.token_hex(20)}",
            "no key at all": f"canary{secrets.token_hex(20)} with blanks",
        }
        self.replies: list[Reply] = []

    def post(
        self, path: str, *, status: int | None = 200, header: str | None = None, key: str | None = None, **fields: Any
    ) -> Reply:
        body = {**BODIES.get(path, {}), **({} if key is None else {"api_key": key}), **fields}
        headers = {"Idempotency-Key": secrets.token_hex(8)} if path != "validate-key" else {}
        headers |= {} if header is None else {"X-OpenRouter-Key": header}
        reply = self.server.post(f"{COMMANDS}/{path}", body, self.people[path].access_token, headers=headers)
        self.replies.append(reply)
        assert status in {None, reply.status}, reply.body
        return reply

    def everything(self) -> None:
        right, wrong, none = self.keys.values()
        for path in (*BODIES, "validate-key"):
            self.post(path, header=right)
            self.post(path, key=right)
            rejected = 200 if path == "validate-key" else 422
            self.post(path, header=wrong, status=rejected)
            self.post(path, key=wrong, status=rejected)
            self.post(path, header=right, key=right, status=400)
            self.post(path, key=none, status=422)
            self.post(path, header=none, status=422)

    def unexpected(self) -> None:
        for path in ("suggest", "explain-error", "validate-key"):
            self.post(path, header=self.keys["right"], status=None)
            self.post(path, key=self.keys["right"], status=None)

    def trouble(self) -> None:
        """Every error of OpenRouter, and one that repeats the key wherever it can."""
        key = self.keys["right"]
        self.post("suggest", header=key, description=f"find {key}", cwd=f"/{key}")
        self.post("explain-error", header=key, output=f"key={key} is wrong", command=f"export KEY={key}")
        for path in ("suggest", "validate-key"):
            for status in (400, 401, 402, 403, 429, 500, 503):
                self.answers(status=status)
                self.post(path, header=key, status=None)
            for status in (401, 402, 429, 502):
                self.answers(status=status, error_in_body=True)
                self.post(path, header=key, status=None)
            for trouble in ({"reset": True}, {"body": key}):
                self.answers(**trouble)
                self.post(path, header=key, status=None)
        for path in (*BODIES, "validate-key"):
            self.answers(body=self.echo(path))
            self.post(path, header=key)
        self.answers(hold=True)
        self.post("suggest", header=key, status=504)
        self.ai.next.release()

    def answers(self, **wanted: Any) -> None:
        self.ai.next.add(NextAnswer(**wanted))

    def echo(self, path: str) -> str:
        """A good answer with the key in every text."""
        key = self.keys["right"]
        proposal = {"command": key, "why": key, "risk": "low", "risk_reasons": [key]}
        reply = {
            **proposal,
            **dict.fromkeys(("explanation", "summary", "cause"), key),
            **{name: [key] for name in ("needs_input", "changes")},
            **{name: [proposal] for name in ("alternatives", "fixes")},
            "parts": [{"text": key, "meaning": key}],
        }
        if path == "validate-key":
            data = {"label": key, "limit": None, "limit_remaining": None, "usage": 1, "is_free_tier": False}
            return json.dumps({"data": data})
        message = {"role": "assistant", "content": json.dumps(reply)}
        return json.dumps({"model": "a/b", "choices": [{"message": message, "finish_reason": "stop"}], "key": key})


def everything_in(database_url: str) -> str:
    """Each row of each table, as text."""
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)'")
        texts = []
        for schema, table in cursor.fetchall():
            cursor.execute(sql.SQL("SELECT each::text FROM {} AS each").format(sql.Identifier(schema, table)))
            texts += [row[0] for row in cursor.fetchall()]
        return "\n".join(texts)


def everything_of(kept: redis.Redis) -> str:
    """Each name with its value, as text."""
    read: dict[Any, Callable[[Any], Any]] = {
        b"string": kept.get,
        b"hash": kept.hgetall,
        b"set": kept.smembers,
        b"zset": lambda name: kept.zrange(name, 0, -1),
        b"list": lambda name: kept.lrange(name, 0, -1),
        b"stream": kept.xrange,
    }
    return "\n".join(f"{name!r} {read[kept.type(name)](name)!r}" for name in kept.scan_iter())
