"""The whole application: in this process, and as the real web server with several processes."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from flask import Flask

from app import assemble
from config import load_settings
from database import db
from examples.private_server.server import PrivateServer
from examples.private_server.switches import Switches
from sandbox.ai_server.server import AIServer
from sandbox.stripe_server.development_prices import add_development_prices
from sandbox.stripe_server.server import StripeServer
from sandbox.valkey import EmbeddedValkey
from tests.conftest import administer
from tests.whole.environment import private_server, production_environment
from tests.whole.web_server import WebServer

StartWebServer = Callable[..., WebServer]


@pytest.fixture
def private() -> Iterator[PrivateServer]:
    with private_server() as server:
        yield server


@pytest.fixture
def stripe() -> Iterator[StripeServer]:
    """With the prices of the plans. Nobody is told of payments."""
    server = StripeServer()
    add_development_prices(server)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def ai() -> Iterator[AIServer]:
    server = AIServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def app(database_url: str, private: PrivateServer) -> Iterator[Flask]:
    """Without Redis, whose thread would outlive the test's database."""
    app = assemble(load_settings(production_environment(database_url, private.url)))
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def start_web_server(tmp_path: Path) -> Iterator[StartWebServer]:
    """Starts a web server of the environment given. It is stopped after the test, which leaves no traceback in its log."""
    with ExitStack() as running:

        def start(environ: dict[str, str], **sizes: int) -> WebServer:
            server = WebServer(environ, tmp_path, **sizes)
            running.callback(server.stop)
            server.start()
            return server

        yield start


@pytest.fixture(scope="session")
def shared_private() -> Iterator[PrivateServer]:
    with private_server() as server:
        yield server


@pytest.fixture(scope="session")
def shared_database_url(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """The database of `shared_web_server`."""
    name = f"whole_{secrets.token_hex(6)}"
    administer(postgres_server, f'CREATE DATABASE "{name}" TEMPLATE "{migrated_template}" STRATEGY wal_log')
    yield postgres_server.rpartition("/")[0] + "/" + name
    administer(postgres_server, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def shared_web_server(
    shared_database_url: str, shared_private: PrivateServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WebServer]:
    """One web server for all tests that break nothing. Its Redis is its own, because other tests empty theirs."""
    folder = tmp_path_factory.mktemp("whole")
    valkey = EmbeddedValkey(folder / "valkey")
    valkey.start()
    server = WebServer(production_environment(shared_database_url, shared_private.url, valkey.url), folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        valkey.stop()


@pytest.fixture
def web_server(shared_web_server: WebServer, shared_private: PrivateServer) -> WebServer:
    shared_private.switches = Switches()
    shared_private.forget()
    return shared_web_server
