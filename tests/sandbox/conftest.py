"""The fixtures of the stand-ins' own tests."""

from collections.abc import Iterator

import pytest

from sandbox.ai_server.server import AIServer
from tests.sandbox.ai_provider import ai_server
from tests.sandbox.stripe_account import Account, stripe_account


@pytest.fixture
def account() -> Iterator[Account]:
    with stripe_account() as running:
        yield running


@pytest.fixture(scope="module")
def shared_providers() -> Iterator[AIServer]:
    with ai_server() as running:
        yield running


@pytest.fixture
def providers(shared_providers: AIServer) -> AIServer:
    shared_providers.next.clear()
    shared_providers.books.clear()
    return shared_providers
