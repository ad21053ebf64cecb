"""A tier given by hand."""

from datetime import timedelta

from auth.tiers import Tier
from tests.payments.facts import fact
from tests.payments.payments_app import RunningPayments


def test_it_counts_at_once_and_has_no_end(running: RunningPayments) -> None:
    alice = running.user()
    running.grant(alice, Tier.ENTERPRISE)
    assert running.tier(alice) is Tier.ENTERPRISE
    assert running.query("SELECT cause FROM entitlement_ledger")[0].cause == "manual:operator"


def test_it_ends_to_the_second(running: RunningPayments) -> None:
    alice = running.user()
    end = running.clock() + timedelta(days=3)
    running.grant(alice, Tier.PRO, end)
    assert running.query("SELECT tier_expires_at FROM users")[0].tier_expires_at == end


def test_a_second_grant_replaces_the_first(running: RunningPayments) -> None:
    alice = running.user()
    running.grant(alice, Tier.ENTERPRISE)
    running.grant(alice, Tier.PRO)
    assert running.tier(alice) is Tier.PRO
    assert len(running.subscriptions()) == 1


def test_taking_it_away_leaves_what_was_paid_for(running: RunningPayments) -> None:
    alice = running.user()
    running.record(fact(period_end=running.clock() + timedelta(days=30)), alice)
    running.grant(alice, Tier.ENTERPRISE)
    running.grant(alice, Tier.FREE)
    assert running.tier(alice) is Tier.PRO


def test_the_same_grant_again_changes_nothing(running: RunningPayments) -> None:
    alice = running.user()
    running.grant(alice, Tier.PRO)
    running.grant(alice, Tier.PRO)
    assert running.ledger(alice) == [("free", "pro")]
