"""DELETE /api/auth/tokens/{key_id}, and all else that takes a key away"""

from uuid import UUID

import pytest
from sqlalchemy import text

from auth.account_change import account_change
from tests.auth.accounts_app import Accounts
from tests.auth.conftest import MakeAccounts
from tests.auth.key_holder import KeyHolder


@pytest.fixture
def alice(accounts: Accounts) -> KeyHolder:
    return KeyHolder(accounts)


def test_a_revoked_key_stops_within_one_request(alice: KeyHolder) -> None:
    gone, kept = alice.key(), alice.key()
    assert alice.use(gone["token"]).status_code == 200
    answer = alice.revoke(gone["id"])
    assert (answer.status_code, answer.data) == (204, b"")
    assert alice.use(gone["token"]).status_code == 401
    assert alice.use(kept["token"]).status_code == 200
    assert "api_key_revoked" in alice.accounts.events(alice.user_id)


def test_a_key_that_another_process_remembers_stops_too(make_accounts: MakeAccounts) -> None:
    one, other = make_accounts(), make_accounts()
    alice = KeyHolder(one)
    key = alice.key()
    elsewhere = KeyHolder(other, "bob@example.com")
    assert elsewhere.use(key["token"]).status_code == 200
    alice.revoke(key["id"])
    assert elsewhere.use(key["token"]).status_code == 401


def test_revoking_can_be_repeated_and_is_written_down_once(alice: KeyHolder) -> None:
    key = alice.key()
    assert [alice.revoke(key["id"]).status_code for _ in range(2)] == [204, 204]
    assert alice.accounts.events(alice.user_id).count("api_key_revoked") == 1


def test_the_key_of_another_user_is_not_there(alice: KeyHolder) -> None:
    bob = KeyHolder(alice.accounts, "bob@example.com")
    key = bob.key()
    assert alice.revoke(key["id"]).status_code == 404
    assert alice.revoke(bob.user_id).status_code == 404
    assert bob.use(key["token"]).status_code == 200


def test_a_disabled_user_has_no_working_keys(alice: KeyHolder) -> None:
    token = alice.key()["token"]
    assert alice.use(token).status_code == 200
    user_id = UUID(alice.user_id)
    with alice.accounts.app.app_context(), account_change(alice.accounts.auth.states, alice.accounts.clock()) as change:
        change.session.execute(text("UPDATE users SET is_active = false"))
        change.permission_changed(user_id)
    for path in ("/tried/usage", "/api/auth/profile"):
        assert alice.use(token, path).status_code == 401


def test_a_deleted_user_has_no_working_keys(alice: KeyHolder) -> None:
    token = alice.key()["token"]
    alice.use(token)
    alice.accounts.redis.failed()
    alice.accounts.query("DELETE FROM users")
    assert alice.use(token).status_code == 401
    assert alice.accounts.query("SELECT count(*) FROM api_keys") == [(0,)]
