"""Chat in a web process, which is this one, and in a realtime process on the same database and Redis."""

from collections.abc import Iterator

import pytest

from sandbox.ai_server.server import AIServer
from tests.capabilities.chat.running_chat import Customer, RunningChat, chat_environment
from tests.realtime.realtime_process import RealtimeProcess


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
