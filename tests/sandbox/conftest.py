"""The fixtures of the stand-ins' own tests."""

from collections.abc import Iterator

import pytest

from tests.sandbox.stripe_account import Account, stripe_account


@pytest.fixture
def account() -> Iterator[Account]:
    with stripe_account() as running:
        yield running
