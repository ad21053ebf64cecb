"""Real PostgreSQL and Valkey, started once per process; each test gets its own copy of a migrated database."""

import gc
import os
import secrets
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import redis
import structlog
from flask_migrate import upgrade
from werkzeug.routing import Rule

import admin.analytics.models  # noqa: F401 - the migrations are compared with these models
import auth.exports.models
import auth.models  # noqa: F401
import database.batch_models  # noqa: F401
import metering.models  # noqa: F401
import payments.models  # noqa: F401
from capabilities import CAPABILITIES
from database import db
from metering.capability import load_models
from sandbox.postgres import EmbeddedPostgres, find_binaries, server_version
from sandbox.valkey import EmbeddedValkey
from tests.bare_app import bare_app
from tests.databases import MigratedDatabases

pytest_plugins = ("tests.canary", "tests.browser")
TEMPLATE = "migrated"

load_models(CAPABILITIES)


FIRST = (
    "tests/whole/test_connection_flood.py",
    "tests/whole/test_openapi_fuzz.py",
    "tests/whole/test_faults.py",
    "tests/whole/test_shop_processes.py",
    "tests/payments/test_both_sellers.py",
    "tests/whole/test_postgres_crash_and_worker.py",
    "tests/whole/test_pgbouncer.py",
    "tests/whole/test_month_end.py",
    "tests/whole/test_killed_worker.py",
    "tests/whole/test_rolling_restart.py",
)
"""Those with a test of more than half a minute, the longest first. `tests/whole` is collected last."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays until the end. Looking for garbage in it again and again was a third of collecting it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


SECURITY = (
    *("tests/auth/", "tests/security/", "tests/test_canary.py", "tests/test_slow_clients.py"),
    *("tests/gateway/test_closed_for_others.py", "tests/gateway/test_account_changes.py"),
    *("tests/realtime/test_sign_in.py", "tests/realtime/test_caps.py", "tests/realtime/test_flood.py"),
    *("tests/capabilities/solve/test_bad_input.py", "tests/capabilities/solve/test_nothing_is_kept.py"),
    *(
        "tests/capabilities/terminal/test_refused_destinations.py",
        "tests/capabilities/terminal/sockets/test_opening.py",
    ),
    "tests/capabilities/terminal/sockets/test_refused_destinations.py",
    "tests/capabilities/terminal/sockets/test_hostile_messages.py",
    *("tests/whole/test_api_keys.py", "tests/whole/test_cors.py", "tests/whole/test_processes_agree.py"),
    *("tests/whole/test_connection_flood.py", "tests/whole/test_hostile_input.py", "tests/whole/test_openapi_fuzz.py"),
    *("tests/whole/test_password_flood.py", "tests/whole/test_picture_bombs.py", "tests/whole/test_nothing_leaks.py"),
    *("tests/whole/test_chat_leaks_nothing.py", "tests/whole/test_chat_page_leaks_nothing.py"),
)
"""What is marked so: who may do what, what hostile input does, what leaks, and who can keep others out."""


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests first, or one process would be at them alone long after the others have ended. Before them the one that
    measures times, so that they do not run side by side.
    """
    place = {file: number for number, file in enumerate(FIRST)}
    for item in items:
        if item.nodeid.startswith(SECURITY):
            item.add_marker("security")
    items.sort(key=lambda item: place.get(item.nodeid.partition("::")[0], len(FIRST)))


compile_builder = Rule._compile_builder


def when_first_needed(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
    def build(_: Rule, **values: Any) -> tuple[str, str]:
        return compile_builder(rule, append_unknown)(rule, **values)

    return build


# Tests make many applications, and compiling what builds addresses out of rules was a third of making one. Nobody builds any.
Rule._compile_builder = when_first_needed  # type: ignore[assignment, method-assign]

# For tests in which no application sets logging up. By default structlog paints a traceback with rich, for a second each.
PLAIN = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], PLAIN])


@pytest.fixture(autouse=True)
def _monkeypatch_response_class() -> None:
    """In place of pytest-flask's: with it each answer of a fixture `app` would be of another class, without what ours adds."""


def pytest_report_header() -> str:
    if os.environ.get("TEST_DATABASE_URL"):
        return "PostgreSQL: the one of TEST_DATABASE_URL; tests that stop and start one use their own"
    return f"PostgreSQL: {server_version(find_binaries())} in {find_binaries()}"


def administer(url: str, statement: str) -> None:
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server's maintenance database: TEST_DATABASE_URL's, or an embedded one's."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), durable=False)
    server.start()
    yield server.url()
    server.discard()


@pytest.fixture(scope="session")
def migrated_template(postgres_server: str) -> Iterator[str]:
    """The name of a database that the migrations built."""
    name = f"{TEMPLATE}_{secrets.token_hex(4)}"
    administer(postgres_server, f'CREATE DATABASE "{name}"')
    app = bare_app(postgres_server.rpartition("/")[0] + "/" + name)
    with app.app_context():
        upgrade()
        db.engine.dispose()
    yield name
    administer(postgres_server, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def migrated_databases(postgres_server: str, migrated_template: str) -> Iterator[MigratedDatabases]:
    with closing(MigratedDatabases(postgres_server, migrated_template)) as databases:
        yield databases


@pytest.fixture
def database_url(migrated_databases: MigratedDatabases) -> Iterator[str]:
    """A migrated database as new for one test."""
    with migrated_databases.one() as url:
        yield url


@pytest.fixture
def kept_database_url(migrated_databases: MigratedDatabases) -> Iterator[str]:
    """The same for tests that leave nothing running. It is quicker."""
    with migrated_databases.kept() as url:
        yield url


@pytest.fixture
def empty_database_url(postgres_server: str) -> Iterator[str]:
    """A database in which no migration has run."""
    name = f"empty_{secrets.token_hex(6)}"
    administer(postgres_server, f'CREATE DATABASE "{name}" STRATEGY wal_log')
    yield postgres_server.rpartition("/")[0] + "/" + name
    administer(postgres_server, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if given := os.environ.get("TEST_REDIS_URL"):
        yield given
        return
    server = EmbeddedValkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def valkey_client(valkey_server: str) -> Iterator[redis.Redis]:
    with closing(redis.Redis.from_url(valkey_server)) as client:
        yield client


@pytest.fixture
def redis_url(valkey_server: str, valkey_client: redis.Redis) -> str:
    """An empty Redis for one test."""
    valkey_client.flushall()
    return valkey_server


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A Valkey that this test may kill and start again."""
    server = EmbeddedValkey(tmp_path / "valkey")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that this test may stop and start again. Its databases are empty."""
    server = EmbeddedPostgres(tmp_path / "postgres", durable=False)
    server.start()
    yield server
    server.discard()
