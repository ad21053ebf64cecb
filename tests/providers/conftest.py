"""A client of the test's own, and the stand-in for AI providers."""

from collections.abc import Iterator

import pytest

from providers.http_client import HttpClient
from providers.http_provider import HttpProvider
from providers.loop import ProviderLoop
from sandbox.ai_server.server import AIServer
from tests.providers.questions import MODELS, provider_at
from tests.sandbox.ai_provider import ai_server as running_ai_server


@pytest.fixture
def http() -> Iterator[HttpClient]:
    loop = ProviderLoop()
    yield HttpClient(loop)
    loop.close()


@pytest.fixture(scope="session")
def ai_server() -> Iterator[AIServer]:
    with running_ai_server() as server:
        yield server


@pytest.fixture
def provider(ai_server: AIServer, http: HttpClient) -> HttpProvider:
    """OpenAI's face of the stand-in."""
    return face_of(ai_server, "openai", http)


@pytest.fixture(params=[name if name == "openai" else pytest.param(name, marks=pytest.mark.slow) for name in MODELS])
def each(request: pytest.FixtureRequest, ai_server: AIServer, http: HttpClient) -> HttpProvider:
    """All faces, one after the other. The fast tests are content with OpenAI's: the packages of the others take seconds to load."""
    return face_of(ai_server, str(request.param), http)


def face_of(server: AIServer, name: str, http: HttpClient) -> HttpProvider:
    server.next.clear()
    server.books.clear()
    return provider_at(server.base_url(name), server.keys[name], http, MODELS[name])
