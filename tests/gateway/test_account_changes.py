"""A metered call rests on a remembered account state. When that has changed, the caller is asked for anew before anything happens."""

from dataclasses import replace

import pytest

from auth.principal import Caller
from auth.tiers import Tier
from security.edge.problems import InvalidToken
from tests.gateway.running_gateway import QUESTION, running_gateway

GROUNDED = {**QUESTION, "options": {"enhanced_grounding": True}}


def now_pro(caller: Caller) -> Caller:
    return replace(caller, tier=Tier.PRO, cached=None)


def now_free(caller: Caller) -> Caller:
    return replace(caller, tier=Tier.FREE, cached=None)


def revoked(_: Caller) -> Caller:
    raise InvalidToken


def never_settles(caller: Caller) -> Caller:
    return caller


def test_an_upgrade_counts_for_the_very_next_prediction(database_url: str) -> None:
    with running_gateway(database_url, confirm=now_pro) as gateway:
        metadata = gateway.ask(cached=True).get_json()["metadata"]
        assert (metadata["user_tier"], metadata["predictions_remaining_today"]) == ("pro", 99)


def test_an_upgrade_gives_its_options_at_once(database_url: str) -> None:
    with running_gateway(database_url, confirm=now_pro) as gateway:
        assert gateway.ask(GROUNDED, cached=True).status_code == 200


def test_a_downgrade_takes_the_options_away_at_once(database_url: str) -> None:
    with running_gateway(database_url, confirm=now_free) as gateway:
        refused = gateway.ask(GROUNDED, tier=Tier.PRO, cached=True)
        assert (refused.status_code, refused.get_json()["tier"]) == (403, "free")
        assert (gateway.used(), gateway.reserved(), gateway.private.seen.predictions) == (0, 0, 0)


def test_a_downgrade_counts_for_the_very_next_prediction(database_url: str) -> None:
    with running_gateway(database_url, confirm=now_free) as gateway:
        statuses = [gateway.ask(tier=Tier.PRO, cached=True).status_code for _ in range(6)]
        assert statuses == [200] * 5 + [429]


@pytest.mark.parametrize("key", [None, "goal-1"])
def test_a_revoked_session_makes_no_prediction(database_url: str, key: str | None) -> None:
    with running_gateway(database_url, confirm=revoked) as gateway:
        refused = gateway.ask(cached=True, key=key)
        assert (refused.status_code, refused.get_json()["error"]) == (401, "invalid_token")
        assert (gateway.used(), gateway.private.seen.predictions) == (0, 0)
        assert gateway.rows("SELECT 1 FROM idempotency_keys") == []


def test_a_state_that_keeps_changing_is_503(database_url: str) -> None:
    with running_gateway(database_url, confirm=never_settles) as gateway:
        assert gateway.ask(cached=True).status_code == 503
        assert gateway.private.seen.predictions == 0
