"""One application for all tests of products."""

from collections.abc import Iterator

import pytest

from tests.capabilities.shop.products.catalogue import Catalogue, running_catalogue
from tests.databases import MigratedDatabases


@pytest.fixture(scope="session")
def catalogue(migrated_databases: MigratedDatabases, valkey_server: str) -> Iterator[Catalogue]:
    with migrated_databases.one() as url, running_catalogue(url, valkey_server) as running:
        yield running
