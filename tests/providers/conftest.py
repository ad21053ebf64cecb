"""A client of the test's own, which is stopped after it."""

from collections.abc import Iterator

import pytest

from providers.http_client import HttpClient


@pytest.fixture
def http() -> Iterator[HttpClient]:
    client = HttpClient()
    yield client
    client.close()
