"""Chat beside the stand-in for providers."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from sandbox.ai_server.server import AIServer
from tests.capabilities.chat.running_chat import Customer, RunningChat, chat_environment, running_chat
from tests.databases import MigratedDatabases
from tests.realtime.realtime_process import RealtimeProcess

Start = Callable[..., RunningChat]


@pytest.fixture(scope="session")
def ai_of_session() -> Iterator[AIServer]:
    server = AIServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def ai(ai_of_session: AIServer) -> Iterator[AIServer]:
    ai_of_session.next.clear()
    ai_of_session.books.clear()
    yield ai_of_session
    ai_of_session.next.clear()


@pytest.fixture(scope="session")
def running_of_session(
    migrated_databases: MigratedDatabases, ai_of_session: AIServer, valkey_server: str
) -> Iterator[RunningChat]:
    with migrated_databases.one() as url, running_chat(url, ai_of_session, valkey_server) as running:
        yield running


@pytest.fixture(scope="session")
def alice_of_session(running_of_session: RunningChat) -> Customer:
    return running_of_session.register()


@pytest.fixture
def running(running_of_session: RunningChat, ai: AIServer) -> RunningChat:
    """Its database is shared by all tests of chat."""
    return running_of_session


@pytest.fixture
def alice(running: RunningChat, alice_of_session: Customer) -> Customer:
    """One account for all tests, for making one takes longer than most of them. As one user's, its failures open no breaker, and
    each test has as many of them as an hour has.
    """
    running.rows("DELETE FROM usage_counters WHERE user_id = %s AND unit = 'failure'", alice_of_session.id)
    return alice_of_session.from_now_on()


@pytest.fixture
def start(running: RunningChat) -> Iterator[Start]:
    """Another process on the same database, with other settings."""
    with ExitStack() as started:
        yield lambda redis_url=None, **changes: started.enter_context(
            running_chat(running.url, running.ai, redis_url, **changes)
        )


@pytest.fixture(scope="session")
def realtime_of_session(
    running_of_session: RunningChat,
    ai_of_session: AIServer,
    valkey_server: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RealtimeProcess]:
    """A call that would block its loop is an error there."""
    environ = chat_environment(running_of_session.url, ai_of_session, valkey_server)
    process = RealtimeProcess({**environ, "BLOCKBUSTER": "on"}, tmp_path_factory.mktemp("realtime"))
    try:
        process.start()
        yield process
    finally:
        process.stop()
    assert "Traceback" not in process.output()


@pytest.fixture
def realtime(realtime_of_session: RealtimeProcess, running: RunningChat) -> str:
    """Its address."""
    return realtime_of_session.url


@pytest.fixture(scope="session")
def bob_of_session(running_of_session: RunningChat) -> Customer:
    return running_of_session.register()


@pytest.fixture
def bob(running: RunningChat, bob_of_session: Customer) -> Customer:
    return bob_of_session.from_now_on()
