"""A client of the test's own, and the stand-in for AI providers."""

from collections.abc import Iterator

import pytest

from providers.http_client import HttpClient
from providers.openai_provider import OpenAIProvider
from sandbox.ai_server.server import AIServer
from tests.providers.questions import provider_at


@pytest.fixture
def http() -> Iterator[HttpClient]:
    client = HttpClient()
    yield client
    client.close()


@pytest.fixture(scope="session")
def ai_server() -> Iterator[AIServer]:
    server = AIServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def provider(ai_server: AIServer, http: HttpClient) -> OpenAIProvider:
    """OpenAI's face of the stand-in."""
    ai_server.next.clear()
    ai_server.books.clear()
    return provider_at(ai_server.base_url("openai"), ai_server.keys["openai"], http)
