"""What a request's permission hangs on is read from Redis, and never believed after it changed."""

import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event

from auth.account_state import state_key
from auth.principal import Caller
from auth.tiers import Tier
from database import db
from sandbox.valkey import EmbeddedValkey
from security.edge.problems import InvalidToken
from tests.auth.accounts_app import PASSWORD, Accounts, bearer
from tests.auth.conftest import MakeAccounts


def ids(accounts: Accounts, access_token: str) -> tuple[UUID, UUID]:
    claims = accounts.auth.access_tokens.verify(access_token)
    return claims.user_id, claims.session_id


def copy_of(accounts: Accounts, user_id: UUID) -> dict[Any, Any]:
    return dict(accounts.redis_client.hgetall(f"mos:state:{user_id}"))


def read_tier(accounts: Accounts, access_token: str) -> Tier:
    with accounts.app.test_request_context(headers=bearer(access_token)):
        return accounts.auth.signed_in.admit().tier


def admit_metered(accounts: Accounts, access_token: str) -> Caller:
    with accounts.app.test_request_context(headers=bearer(access_token)):
        return accounts.auth.metered("predict").admit()


def renew(accounts: Accounts, principal: Caller) -> Caller:
    with accounts.app.test_request_context():
        return accounts.auth.metered("predict").renew(principal)


def still_holds(accounts: Accounts, principal: Caller) -> bool:
    """The comparison that the gateway's script makes when it reserves a call."""
    assert principal.cached is not None
    values = accounts.redis_client.hmget(principal.cached.key, principal.cached.fields)
    return bool(values == [value.encode() for value in principal.cached.values])


@contextmanager
def counted(accounts: Accounts) -> Iterator[dict[str, int]]:
    """How many commands Redis and how many statements PostgreSQL got inside the block."""
    counts = {"redis": 0, "postgres": 0}

    def commands() -> int:
        stats: dict[str, Any] = accounts.redis_client.info("commandstats")
        return sum(each["calls"] for name, each in stats.items() if name not in {"cmdstat_info", "cmdstat_client"})

    def statement(*_: object) -> None:
        counts["postgres"] += 1

    with accounts.app.app_context():
        event.listen(db.engine, "before_cursor_execute", statement)
        before = commands()
        try:
            yield counts
        finally:
            counts["redis"] = commands() - before
            event.remove(db.engine, "before_cursor_execute", statement)


def test_a_warm_account_costs_one_redis_command_and_no_query(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    read_tier(accounts, token)
    with counted(accounts) as counts:
        read_tier(accounts, token)
    assert counts == {"redis": 1, "postgres": 0}


def test_a_warm_metered_caller_costs_neither(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    admit_metered(accounts, token)
    with counted(accounts) as counts:
        principal = admit_metered(accounts, token)
    assert counts == {"redis": 0, "postgres": 0}
    assert still_holds(accounts, principal)


def test_a_copy_lives_thirty_seconds_and_is_not_renewed_by_another_session(accounts: Accounts) -> None:
    phone = accounts.register()["access_token"]
    tablet = accounts.sign_in().get_json()["access_token"]
    user_id, _ = ids(accounts, phone)
    read_tier(accounts, phone)
    assert 0 < accounts.redis_client.pttl(f"mos:state:{user_id}") <= 30_000
    accounts.redis_client.pexpire(f"mos:state:{user_id}", 10_000)
    read_tier(accounts, tablet)
    assert 0 < accounts.redis_client.pttl(f"mos:state:{user_id}") <= 10_000
    assert len(copy_of(accounts, user_id)) == 4


def test_a_copy_read_before_a_change_is_not_stored_after_it(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    user_id, _ = ids(accounts, token)
    accounts.auth.states.changed(user_id, 2)
    assert read_tier(accounts, token) == Tier.FREE  # PostgreSQL still says version 1
    assert copy_of(accounts, user_id) == {b"v": b"2"}


def test_a_newer_copy_drops_what_was_held_of_an_older_version(accounts: Accounts) -> None:
    phone = accounts.register()["access_token"]
    tablet = accounts.sign_in().get_json()["access_token"]
    user_id, phone_id = ids(accounts, phone)
    read_tier(accounts, phone)
    accounts.query("UPDATE users SET state_version = 2, tier = 'pro'")
    assert read_tier(accounts, tablet) == Tier.PRO
    copy = copy_of(accounts, user_id)
    assert copy[b"v"] == b"2"
    assert f"s:{phone_id}".encode() not in copy


def test_an_older_change_does_not_replace_the_mark_of_a_newer_one(accounts: Accounts) -> None:
    user_id = uuid.uuid4()
    accounts.auth.states.changed(user_id, 7)
    accounts.auth.states.changed(user_id, 6)
    assert copy_of(accounts, user_id) == {b"v": b"7"}


def test_a_change_drops_the_copies_of_all_sessions(accounts: Accounts) -> None:
    phone = accounts.register()["access_token"]
    tablet = accounts.sign_in().get_json()
    read_tier(accounts, phone)
    read_tier(accounts, tablet["access_token"])
    accounts.post("/logout", {"refresh_token": tablet["refresh_token"]})
    user_id, _ = ids(accounts, phone)
    assert copy_of(accounts, user_id) == {b"v": b"2"}


def test_a_metered_caller_who_signed_out_no_longer_matches_and_is_not_renewed(accounts: Accounts) -> None:
    signed_in = accounts.register()
    principal = admit_metered(accounts, signed_in["access_token"])
    accounts.post("/logout", {"refresh_token": signed_in["refresh_token"]})
    assert not still_holds(accounts, principal)
    with pytest.raises(InvalidToken):
        renew(accounts, principal)
    with pytest.raises(InvalidToken):
        admit_metered(accounts, signed_in["access_token"])


def test_a_metered_caller_whose_tier_changed_is_renewed_with_the_new_one(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    principal = admit_metered(accounts, token)
    accounts.query("UPDATE users SET tier = 'pro', state_version = 2")
    accounts.auth.states.changed(principal.user_id, 2)
    assert not still_holds(accounts, principal)
    renewed = renew(accounts, principal)
    assert renewed.tier == Tier.PRO
    assert still_holds(accounts, renewed)
    assert admit_metered(accounts, token) == renewed


def test_a_tier_ends_on_time_although_the_copy_does_not_change(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    end = accounts.clock.now + timedelta(minutes=5)
    accounts.query("UPDATE users SET tier = 'pro', tier_expires_at = :end", end=end)
    assert read_tier(accounts, token) == admit_metered(accounts, token).tier == Tier.PRO
    accounts.clock.now = end - timedelta(microseconds=1)
    assert read_tier(accounts, token) == admit_metered(accounts, token).tier == Tier.PRO
    accounts.clock.now = end
    assert read_tier(accounts, token) == admit_metered(accounts, token).tier == Tier.FREE


def test_a_change_is_told_to_redis_also_in_the_moment_after_a_failure(accounts: Accounts) -> None:
    signed_in = accounts.register()
    admit_metered(accounts, signed_in["access_token"])
    user_id, _ = ids(accounts, signed_in["access_token"])
    client = accounts.redis_client
    assert b"u" in client.hgetall(state_key(user_id))
    accounts.redis.failed()
    assert accounts.post("/logout", {"refresh_token": signed_in["refresh_token"]}).status_code == 204
    assert b"u" not in client.hgetall(state_key(user_id))


def test_a_session_of_someone_else_is_no_session(accounts: Accounts) -> None:
    alice = accounts.register("alice@example.com")["access_token"]
    mallory = accounts.register("mallory@example.com")["access_token"]
    alices_id, _ = ids(accounts, alice)
    _, mallorys_session = ids(accounts, mallory)
    mixed = accounts.auth.access_tokens.issue(
        user_id=alices_id,
        session_id=mallorys_session,
        auth_time=accounts.clock.now,
        not_after=accounts.clock.now + timedelta(hours=1),
    )
    admit_metered(accounts, mallory)
    assert accounts.profile(mixed.text).status_code == 401
    with pytest.raises(InvalidToken):
        admit_metered(accounts, mixed.text)


def test_without_redis_postgresql_is_asked_every_time(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(redis_at=None)
    signed_in = accounts.register()
    token = signed_in["access_token"]
    assert admit_metered(accounts, token).cached is None
    accounts.query("UPDATE users SET tier = 'pro'")
    assert read_tier(accounts, token) == admit_metered(accounts, token).tier == Tier.PRO
    assert accounts.post("/logout", {"refresh_token": signed_in["refresh_token"]}).status_code == 204
    assert accounts.profile(token).status_code == 401


def test_a_redis_that_dies_is_replaced_by_postgresql_within_the_request(
    make_accounts: MakeAccounts, own_valkey: EmbeddedValkey
) -> None:
    accounts = make_accounts(redis_at=own_valkey.url)
    token = accounts.register()["access_token"]
    assert accounts.profile(token).status_code == 200
    own_valkey.kill()
    assert accounts.profile(token).status_code == 200
    assert accounts.redis.client() is None, "for a moment"
    assert admit_metered(accounts, token).cached is None


def test_a_change_that_a_dead_redis_cannot_be_told_counts_at_once(
    make_accounts: MakeAccounts, own_valkey: EmbeddedValkey
) -> None:
    accounts = make_accounts(redis_at=own_valkey.url)
    signed_in = accounts.register()
    admit_metered(accounts, signed_in["access_token"])
    own_valkey.kill()
    assert accounts.post("/logout", {"refresh_token": signed_in["refresh_token"]}).status_code == 204
    with pytest.raises(InvalidToken):
        admit_metered(accounts, signed_in["access_token"])


def test_with_neither_redis_nor_postgresql_nobody_is_let_in_and_nobody_is_thrown_out(
    make_accounts: MakeAccounts,
) -> None:
    accounts = make_accounts(redis_at=None, database_at="postgresql://nobody@127.0.0.1:1/nothing")
    token = accounts.auth.access_tokens.issue(
        user_id=uuid.uuid4(),
        session_id=uuid.uuid4(),
        auth_time=accounts.clock.now,
        not_after=accounts.clock.now + timedelta(hours=1),
    )
    answers = [
        accounts.profile(token.text),
        accounts.sign_in(),
        accounts.post("/register", {"email": "alice@example.com", "password": PASSWORD}),
        accounts.refresh(accounts.auth.refresh_tokens.issue(uuid.uuid4(), 0, secrets.token_bytes(32))),
        accounts.post("/logout", {}, headers=bearer(token.text)),
    ]
    assert [answer.status_code for answer in answers] == [503] * 5
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers)
