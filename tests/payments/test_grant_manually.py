"""A tier given by hand."""

import uuid
from datetime import timedelta

import pytest

from auth.tiers import Tier
from payments.grant_manually import UserUnknown, grant_manually
from tests.payments.facts import fact
from tests.payments.payments_app import RunningPayments


def grant(running: RunningPayments, user: uuid.UUID, tier: Tier, days: float | None = None) -> bool:
    until = None if days is None else running.clock() + timedelta(days=days)
    with running.app.app_context():
        return grant_manually(running.payments.rules, user, tier, until=until, actor="support")


def test_it_counts_at_once_and_has_no_end(running: RunningPayments) -> None:
    alice = running.user()
    assert grant(running, alice, Tier.ENTERPRISE)
    assert running.tier(alice) is Tier.ENTERPRISE
    assert running.announced == [(alice, 2)]
    assert running.query("SELECT cause FROM entitlement_ledger")[0].cause == "manual:support"


def test_it_ends_to_the_second(running: RunningPayments) -> None:
    alice = running.user()
    grant(running, alice, Tier.PRO, days=3)
    end = running.clock() + timedelta(days=3)
    assert running.query("SELECT tier_expires_at FROM users")[0].tier_expires_at == end


def test_a_second_grant_replaces_the_first(running: RunningPayments) -> None:
    alice = running.user()
    grant(running, alice, Tier.ENTERPRISE)
    grant(running, alice, Tier.PRO)
    assert running.tier(alice) is Tier.PRO
    assert len(running.subscriptions()) == 1


def test_taking_it_away_leaves_what_was_paid_for(running: RunningPayments) -> None:
    alice = running.user()
    running.record(fact(period_end=running.clock() + timedelta(days=30)), alice)
    grant(running, alice, Tier.ENTERPRISE)
    grant(running, alice, Tier.FREE)
    assert running.tier(alice) is Tier.PRO


def test_the_same_grant_again_changes_nothing(running: RunningPayments) -> None:
    alice = running.user()
    grant(running, alice, Tier.PRO)
    assert not grant(running, alice, Tier.PRO)
    assert running.ledger(alice) == [("free", "pro")]


def test_a_user_that_does_not_exist_is_named(running: RunningPayments) -> None:
    with pytest.raises(UserUnknown):
        grant(running, uuid.uuid4(), Tier.PRO)
