"""No private key, passphrase or password for a server stands in a row, a Redis key, a log line, a report to Sentry, a metric or an
answer, also after everything that can fail.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncssh
import psycopg2
import pytest
import redis

from sandbox.ssh_server import USER, Manner, SshServer
from security.logs.folder import FILES
from tests.conftest import administer
from tests.metering.limit_backends import eventually
from tests.sentry_ingest import Ingest, sentry_ingest
from tests.whole.conftest import StartWebServer
from tests.whole.environment import production_environment
from tests.whole.web_server import Person, Reply, WebServer

METRICS_TOKEN = secrets.token_urlsafe(48)
KEYS, PROFILES, KNOWN_HOSTS = (f"/api/terminal/ssh/{name}" for name in ("keys", "profiles", "known-hosts"))
SPOILED = (
    "ALTER TABLE ssh_keys ADD CONSTRAINT spoiled CHECK (length(name) < 2) NOT VALID",
    "ALTER TABLE ssh_seen_host_keys ADD CONSTRAINT spoiled CHECK (length(host) < 2) NOT VALID",
    "ALTER TABLE ssh_profiles ADD CONSTRAINT spoiled CHECK (last_used_at IS NULL) NOT VALID",
)
"""PostgreSQL repeats the whole row in the error that a broken constraint makes."""


@pytest.fixture
def sentry() -> Iterator[Ingest]:
    with sentry_ingest() as ingest:
        yield ingest


@pytest.mark.slow
@pytest.mark.prints_secrets("errors repeat the public half of a key, and the tests look for the rest themselves")
def test_what_opens_a_server_is_told_to_nobody_else(
    start_web_server: StartWebServer, *, database_url: str, redis_url: str, sentry: Ingest, tmp_path: Path
) -> None:
    log_dir = tmp_path / "logs"
    log_dir.mkdir()
    environ = {
        **production_environment(database_url, "https://predict.example.com", redis_url),
        "CAPABILITIES": "terminal",
        "TERMINAL_ALLOWED_NETWORKS": "127.0.0.1/32",
        "TERMINAL_CONNECT_SECONDS": "1",
        "LOG_LEVEL": "DEBUG",
        "LOG_DIR": str(log_dir),
        "SENTRY_DSN": sentry.dsn,
        "METRICS_TOKEN": METRICS_TOKEN,
    }
    server = start_web_server(environ, processes=1)
    user = User(server, server.register("alice"))
    user.everything(redis.Redis.from_url(redis_url))
    for statement in SPOILED:
        administer(database_url, statement)
    user.unexpected(redis.Redis.from_url(redis_url))

    metrics = server.get("/metrics", METRICS_TOKEN)
    eventually(lambda: len(sentry.events()) >= server.output().count('"exception":'), seconds=30)
    server.stop()

    assert {200, 201, 204, 400, 404, 409, 422, 500} <= {answer.status for answer in user.answers}
    assert sentry.events()
    places = {
        "output": server.output().encode(),
        "Sentry": sentry.text.encode(),
        "metrics": metrics.body,
        "Redis": everything_in_redis(redis_url),
        "the database": everything_in(database_url),
        "answers": b" ".join(f"{answer.headers}".encode() + answer.body for answer in user.answers),
    }
    for place, text in (places | {name: (log_dir / name).read_bytes() for name in FILES}).items():
        assert text
        assert user.found(text) == [], place
    assert b"ssh-ed25519" in places["the database"]


def everything_in(database_url: str) -> bytes:
    """Every row of every table as text, and what is binary as it is."""
    found = []
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT * FROM "{table}"')
            for row in cursor.fetchall():
                found += [bytes(each) if isinstance(each, memoryview) else str(each).encode() for each in row]
    return b"\n".join(found)


def everything_in_redis(redis_url: str) -> bytes:
    with closing(redis.Redis.from_url(redis_url)) as kept:
        reads: dict[bytes | str, Callable[[Any], Any]] = {
            b"string": kept.get,
            b"hash": kept.hgetall,
            b"list": lambda name: kept.lrange(name, 0, -1),
        }
        return repr({name: reads[kept.type(name)](name) for name in list(kept.scan_iter())}).encode()


class User:
    """What she sends, with a canary in each secret. `answers`: all that she was answered."""

    def __init__(self, server: WebServer, alice: Person) -> None:
        self.server, self.alice = server, alice
        self.answers: list[Reply] = []
        self.password, self.passphrase = secrets.token_hex(16), secrets.token_hex(16)
        bare, locked = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        self.bare = bare.export_private_key("openssh").decode()
        self.locked = locked.export_private_key("openssh", self.passphrase, rounds=1, ignore_few_rounds=True).decode()
        self.host = SshServer(password=self.password, keys=[locked.export_public_key().decode()])

    def found(self, text: bytes) -> list[str]:
        """The first line of a file is the same in all, the next one has the public half."""
        halves = (line for file in (self.bare, self.locked) for line in file.splitlines()[3:-1])
        canaries = [self.password, self.passphrase, "BEGIN OPENSSH", *halves]
        return [each for each in canaries if each.encode() in text or each.encode().hex().encode() in text]

    def ask(self, method: str, path: str, body: object = None, status: int | None = None) -> Reply:
        reply = self.server.ask(method, path, body, self.alice.access_token)
        self.answers.append(reply)
        assert status in {None, reply.status}, reply.body
        return reply

    def everything(self, limits: redis.Redis) -> None:
        host = self.host
        host.start()
        bare = self.ask("POST", KEYS, {"name": "a", "private_key": self.bare}, 201).json()
        locked = self.ask("POST", KEYS, {"name": "b", "private_key": self.locked}, 201).json()
        self.ask("POST", KEYS, {"name": "c", "private_key": self.bare}, 409)
        self.ask("POST", KEYS, {"name": "c", "private_key": self.bare[:200]}, 422)
        self.ask("POST", KEYS, {"name": "c", "private_key": self.bare, "passphrase": self.passphrase}, 422)
        self.ask("POST", KEYS, {self.bare: self.bare}, 422)
        self.ask("POST", KEYS, f'{{"private_key": "{self.passphrase}'.encode(), 400)
        usual = {"host": "127.0.0.1", "port": host.port, "username": USER}
        by_key = {**usual, "name": "key", "auth": "key", "ssh_key_id": locked["id"]}
        profiles = [
            self.ask("POST", PROFILES, body, 201).json()["id"]
            for body in (by_key, {**usual, "name": "password", "auth": "password"})
        ]
        self.ask("POST", PROFILES, {**usual, "name": "x", "auth": "password", "password": self.password}, 422)
        self.ask("DELETE", f"{KEYS}/{locked['id']}", None, 409)
        self.tests = [f"{PROFILES}/{profile_id}/test" for profile_id in profiles]
        self.try_both("host_key_unknown", limits)
        accepted = {"host": "127.0.0.1", "port": host.port, "fingerprint": host.fingerprint}
        known = self.ask("POST", KNOWN_HOSTS, accepted, 201).json()["id"]
        self.try_both(None, limits)
        for manner in (Manner.STALL_AT_SIGN_IN, Manner.HANG_UP_AT_SIGN_IN, Manner.GARBAGE):
            host.manner = manner
            self.try_both("auth_failed" if manner is Manner.HANG_UP_AT_SIGN_IN else "unreachable", limits)
        host.manner = Manner.SERVE
        wrong = {"passphrase": self.passphrase[::-1], "password": self.password[::-1]}
        assert [self.ask("POST", path, wrong, 200).json()["code"] for path in self.tests] == ["auth_failed"] * 2
        self.ask("POST", self.tests[0], {"passphrase": self.passphrase, "key": self.locked}, 422)
        host.change_key()
        self.try_both("host_key_changed", limits)
        self.ask("DELETE", f"{KNOWN_HOSTS}/{known}", None, 204)
        self.ask("DELETE", f"{KEYS}/{bare['id']}", None, 204)
        for path in (KEYS, PROFILES, KNOWN_HOSTS, "/api/auth/security-events"):
            self.ask("GET", path, None, 200)
        self.ask("POST", f"{PROFILES}/{bare['id']}/test", {"password": self.password}, 404)

    def unexpected(self, limits: redis.Redis) -> None:
        """The database refuses what it is told, and says so with all of it."""
        self.ask("POST", KEYS, {"name": "more", "private_key": self.bare}, 500)
        for path in self.tests:
            limits.flushall()
            self.ask("POST", path, {"password": self.password, "passphrase": self.passphrase}, 500)
        self.host.stop()

    def try_both(self, code: str | None, limits: redis.Redis) -> None:
        limits.flushall()
        secret = {"passphrase": self.passphrase, "password": self.password}
        told = [self.ask("POST", path, secret, 200).json() for path in self.tests]
        assert [each["code"] for each in told] == [code, code], told
