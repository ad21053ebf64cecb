"""A client of the test's own, and the stand-in for AI providers."""

from collections.abc import Iterator

import pytest

from providers.http_client import HttpClient
from providers.http_provider import HttpProvider
from providers.loop import ProviderLoop
from sandbox.ai_server.server import AIServer
from tests.providers.questions import provider_at


@pytest.fixture
def http() -> Iterator[HttpClient]:
    loop = ProviderLoop()
    yield HttpClient(loop)
    loop.close()


@pytest.fixture(scope="session")
def ai_server() -> Iterator[AIServer]:
    server = AIServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def provider(ai_server: AIServer, http: HttpClient) -> HttpProvider:
    """OpenAI's face of the stand-in."""
    ai_server.next.clear()
    ai_server.books.clear()
    return provider_at(ai_server.base_url("openai"), ai_server.keys["openai"], http)
