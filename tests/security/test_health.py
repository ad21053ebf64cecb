"""GET /health, /health/live, /health/ready, /health/db and /health/redis."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import psycopg2
import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from redis.backoff import NoBackoff
from redis.retry import Retry

from database.schema import schema_check
from sandbox.postgres import EmbeddedPostgres
from sandbox.valkey import EmbeddedValkey
from security.health.check import DEADLINE_SECONDS, HealthCheck, Part
from security.health.routes import health_routes


def client_of(parts: dict[str, Part]) -> FlaskClient:
    app = Flask("health")
    app.register_blueprint(health_routes(HealthCheck(parts), version="1.2.3", environment="development"))
    return app.test_client()


def redis_check(url: str, seconds: float = 0.1) -> Callable[[], None]:
    client = redis.Redis.from_url(url, socket_timeout=seconds, socket_connect_timeout=0.1, retry=Retry(NoBackoff(), 0))

    def check() -> None:
        client.ping()

    return check


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that accepts connections and never says a word."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=50)
    yield listener.getsockname()[1]
    listener.close()


def test_health_says_version_and_environment() -> None:
    answer = client_of({}).get("/health")
    assert (answer.status_code, answer.json) == (
        200,
        {"status": "ok", "version": "1.2.3", "environment": "development"},
    )


def test_liveness_asks_no_other_server() -> None:
    def never() -> None:
        raise AssertionError("asked")

    answer = client_of({"database": Part(never)}).get("/health/live")
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


def test_ready_when_postgresql_and_redis_work(database_url: str, redis_url: str) -> None:
    parts = {"database": Part(schema_check(database_url)), "redis": Part(redis_check(redis_url), required=False)}
    answer = client_of(parts).get("/health/ready")
    assert answer.status_code == 200
    assert answer.json is not None
    assert (answer.json["status"], answer.json["failing"]) == ("ready", [])
    assert {name: part["status"] for name, part in answer.json["parts"].items()} == {"database": "ok", "redis": "ok"}


def test_a_database_without_migrations_is_not_ready(empty_database_url: str) -> None:
    answer = client_of({"database": Part(schema_check(empty_database_url))}).get("/health/ready")
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["failing"] == ["database"]
    assert answer.json["parts"]["database"]["problem"] == "migrations_missing"


def test_a_database_at_an_older_revision_is_not_ready(database_url: str) -> None:
    set_revision(database_url, "0001")
    assert client_of({"database": Part(schema_check(database_url))}).get("/health/ready").status_code == 503


def test_a_database_at_a_newer_revision_is_ready(database_url: str) -> None:
    set_revision(database_url, "9999")
    assert client_of({"database": Part(schema_check(database_url))}).get("/health/ready").status_code == 200


def test_a_stopped_redis_degrades_but_stays_ready(database_url: str, own_valkey: EmbeddedValkey) -> None:
    client = client_of(
        {"database": Part(schema_check(database_url)), "redis": Part(redis_check(own_valkey.url), required=False)}
    )
    own_valkey.kill()
    answer = client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json is not None
    assert (answer.json["status"], answer.json["failing"]) == ("degraded", ["redis"])
    assert client.get("/health/redis").status_code == 503


def test_a_stopped_postgresql_is_named_and_recovery_is_seen(own_postgres: EmbeddedPostgres) -> None:
    parts = {"database": Part(lambda: psycopg2.connect(own_postgres.url(), connect_timeout=2).close())}
    own_postgres.stop()
    answer = client_of(parts).get("/health/db")
    assert (answer.status_code, answer.json and answer.json["problem"]) == (503, "unreachable")
    assert b"password" not in answer.data
    assert str(own_postgres.port).encode() not in answer.data

    own_postgres.start()
    assert client_of(parts).get("/health/db").status_code == 200


def test_parts_that_hang_are_named_within_a_second(silent_port: int) -> None:
    silent_database = f"postgresql://alice:x@127.0.0.1:{silent_port}/x"
    parts = {
        "database": Part(schema_check(silent_database)),
        "redis": Part(redis_check(f"redis://127.0.0.1:{silent_port}/0", seconds=30), required=False),
    }
    client = client_of(parts)
    started = time.monotonic()
    answer = client.get("/health/ready")
    assert time.monotonic() - started < 10  # the Redis check alone would take 30
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["failing"] == ["database", "redis"]
    assert {part["problem"] for part in answer.json["parts"].values()} == {"no_answer"}
    assert DEADLINE_SECONDS < 1


def test_a_part_that_hangs_holds_one_thread_however_many_ask() -> None:
    release, entered = threading.Event(), []

    def hang() -> None:
        entered.append(threading.get_ident())
        release.wait(30)

    client = client_of({"database": Part(hang)})
    askers = [threading.Thread(target=lambda: client.application.test_client().get("/health/ready")) for _ in range(10)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    release.set()
    assert len(entered) == 1


def test_redis_that_is_not_configured_is_no_failure() -> None:
    answer = client_of({}).get("/health/redis")
    assert (answer.status_code, answer.json and answer.json["status"]) == (200, "not_configured")


def set_revision(url: str, revision: str) -> None:
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("UPDATE alembic_version SET version_num = %s", (revision,))
    connection.close()
