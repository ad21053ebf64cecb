"""Running reference prediction servers."""

from collections.abc import Iterator

import pytest

from examples.private_server.mirror_verifier import Keys
from examples.private_server.server import PrivateServer
from examples.private_server.switches import Switches
from tests.examples.ask import SECRET


@pytest.fixture(scope="session")
def running() -> Iterator[PrivateServer]:
    with PrivateServer(Keys({"k1": SECRET}), test_switches=True) as started:
        yield started


@pytest.fixture
def server(running: PrivateServer) -> PrivateServer:
    running.switches = Switches()
    running.forget()
    return running


@pytest.fixture
def own_server() -> Iterator[PrivateServer]:
    """For tests that stop it, or that count what is in flight."""
    with PrivateServer(Keys({"k1": SECRET}), test_switches=True) as started:
        yield started
