"""The ledger is only ever added to."""

from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from tests.payments.facts import fact
from tests.payments.payments_app import RunningPayments


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entitlement_ledger SET to_tier = 'enterprise'",
        "DELETE FROM entitlement_ledger",
        "TRUNCATE entitlement_ledger",
    ],
)
def test_nobody_changes_an_entry(running: RunningPayments, statement: str) -> None:
    alice = running.user()
    running.record(fact(period_end=running.clock() + timedelta(days=30)), alice)
    with pytest.raises(IntegrityError, match="rows of entitlement_ledger are never changed"):
        running.query(statement)
    assert running.ledger(alice) == [("free", "pro")]


def test_it_outlives_the_account(running: RunningPayments) -> None:
    alice = running.user()
    running.record(fact(period_end=running.clock() + timedelta(days=30)), alice)
    running.query("DELETE FROM users")
    assert running.ledger(alice) == [("free", "pro")]
