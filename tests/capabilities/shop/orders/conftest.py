"""One application for all tests of orders."""

from collections.abc import Iterator

import pytest

from sandbox.stripe_server.server import StripeServer
from tests.capabilities.shop.orders.buying import Shop, running_shop
from tests.databases import MigratedDatabases


@pytest.fixture(scope="session")
def stripe() -> Iterator[StripeServer]:
    server = StripeServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def shop(migrated_databases: MigratedDatabases, valkey_server: str, stripe: StripeServer) -> Iterator[Shop]:
    with migrated_databases.one() as url, running_shop(url, valkey_server, stripe) as running:
        yield running


@pytest.fixture
def buyer(shop: Shop) -> str:
    return shop.person()
