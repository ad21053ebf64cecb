"""One application and one Stripe for all tests of what the shop is paid and gives back."""

from collections.abc import Iterator

import pytest

from tests.capabilities.shop.money.till import Placed, Till, running_till
from tests.databases import MigratedDatabases


@pytest.fixture(scope="session")
def till_of_session(migrated_databases: MigratedDatabases, valkey_server: str) -> Iterator[Till]:
    with migrated_databases.one() as url, running_till(url, valkey_server) as running:
        yield running


@pytest.fixture
def till(till_of_session: Till) -> Till:
    """Nothing of an earlier test is on its way."""
    till_of_session.stripe.faults.clear()
    till_of_session.stripe.outbox.forget_pending()
    till_of_session.rows("DELETE FROM procrastinate_jobs")
    return till_of_session


@pytest.fixture
def order(till: Till) -> Placed:
    """Three of one product, for 10.00 each. Ten were there."""
    return till.order(3)
