"""POST /api/auth/tokens/{key_id}/rotate"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.auth.accounts_app import Accounts
from tests.auth.key_holder import KeyHolder


@pytest.fixture
def alice(accounts: Accounts) -> KeyHolder:
    return KeyHolder(accounts)


def test_the_successor_is_like_the_old_key(alice: KeyHolder) -> None:
    old = alice.key(scopes=["usage"], expires_in_days=10, allowed_networks=["192.0.2.0/24"])
    answer = alice.rotate(old["id"])
    assert answer.status_code == 201
    new = answer.get_json()
    assert new["token"] != old["token"]
    same = ("name", "scopes", "allowed_networks", "created_at", "expires_at")
    assert [new[name] for name in same] == [old[name] for name in same]
    assert alice.use(new["token"]).status_code == 200
    newest, oldest = alice.listed()
    assert (newest["id"], oldest["id"], oldest["replaced_by"]) == (new["id"], old["id"], new["id"])


@pytest.mark.parametrize(("overlap", "minutes"), [("15m", 15), ("1h", 60), ("24h", 24 * 60)])
def test_the_old_key_works_until_the_overlap_is_over(alice: KeyHolder, overlap: str, minutes: int) -> None:
    old = alice.key()
    assert alice.use(old["token"], "/tried/metered").status_code == 200
    new = alice.rotate(old["id"], overlap=overlap).get_json()
    alice.accounts.clock.advance(minutes=minutes, seconds=-1)
    for path in ("/tried/usage", "/tried/metered"):
        assert alice.use(old["token"], path).status_code == 200
    alice.accounts.clock.advance(seconds=1)
    for path in ("/tried/usage", "/tried/metered"):
        assert alice.use(old["token"], path).status_code == 401
        assert alice.use(new["token"], path).status_code == 200


def test_the_successor_of_a_key_without_end_has_none_and_the_old_key_gets_one(alice: KeyHolder) -> None:
    old = alice.key(expires_in_days=None)
    assert alice.use(old["token"], "/tried/metered").status_code == 200
    new = alice.rotate(old["id"], overlap="15m").get_json()
    assert new["expires_at"] is None
    alice.accounts.clock.advance(minutes=15)
    for path in ("/tried/usage", "/tried/metered"):
        assert alice.use(old["token"], path).status_code == 401
        assert alice.use(new["token"], path).status_code == 200


def test_without_an_overlap_the_old_key_stops_at_once(alice: KeyHolder) -> None:
    old = alice.key()
    assert alice.use(old["token"]).status_code == 200
    alice.rotate(old["id"], overlap="0")
    assert alice.use(old["token"]).status_code == 401


def test_an_overlap_never_makes_a_key_live_longer(alice: KeyHolder) -> None:
    old = alice.key(expires_in_days=1)
    alice.accounts.query("UPDATE api_keys SET expires_at = created_at + interval '10 minutes'")
    alice.rotate(old["id"], overlap="24h")
    alice.accounts.clock.advance(minutes=10)
    assert alice.use(old["token"]).status_code == 401


def test_a_key_is_rotated_once_even_when_many_ask(alice: KeyHolder) -> None:
    old = alice.key()

    def rotate(_: int) -> int:
        return alice.rotate(old["id"]).status_code

    with ThreadPoolExecutor(5) as threads:
        assert sorted(threads.map(rotate, range(5))) == [201] + [409] * 4
    assert alice.rotate(old["id"]).get_json()["error"] == "api_key_replaced"
    assert len(alice.listed()) == 2


def test_two_rotations_in_a_row_leave_one_overlap(alice: KeyHolder) -> None:
    first = alice.key()
    second = alice.rotate(first["id"], overlap="24h").get_json()
    third = alice.rotate(second["id"], overlap="24h").get_json()
    tokens = (first["token"], second["token"], third["token"])
    assert [alice.use(token).status_code for token in tokens] == [401, 200, 200]


def test_all_keys_of_a_full_account_can_be_rotated(alice: KeyHolder) -> None:
    keys = [alice.key() for _ in range(25)]
    alice.accounts.clock.advance(hours=1)
    alice.access_token = alice.accounts.sign_in().get_json()["access_token"]
    assert {alice.rotate(key["id"]).status_code for key in keys} == {201}
    assert alice.create().status_code == 409


def test_a_key_that_ended_or_is_anothers_is_not_there(alice: KeyHolder) -> None:
    bob = KeyHolder(alice.accounts, "bob@example.com")
    revoked, bobs = alice.key(), bob.key()
    alice.revoke(revoked["id"])
    for key_id in (revoked["id"], bobs["id"], alice.user_id):
        assert alice.rotate(key_id).status_code == 404
    assert bob.use(bobs["token"]).status_code == 200


def test_only_a_fresh_sign_in_rotates(alice: KeyHolder) -> None:
    key = alice.key()
    alice.accounts.clock.advance(minutes=6)
    assert alice.rotate(key["id"]).status_code == 401
    assert len(alice.listed()) == 1


def test_an_overlap_that_is_not_offered_is_refused(alice: KeyHolder) -> None:
    assert alice.rotate(alice.key()["id"], overlap="1y").status_code == 422


def test_the_owner_is_told(alice: KeyHolder) -> None:
    alice.rotate(alice.key()["id"])
    assert "An API key was replaced" in [message["Subject"] for message in alice.accounts.messages()]
    assert alice.accounts.events(alice.user_id)[-1] == "api_key_rotated"
