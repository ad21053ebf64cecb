"""/api/terminal/ssh/keys"""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from auth.tiers import Tier
from capabilities.terminal.plan_limits import TERMINAL_LIMITS
from capabilities.terminal.ssh.keys.sealed_key import owner_of
from tests.capabilities.terminal.key_files import PASSPHRASE, certificate, key_file
from tests.capabilities.terminal.running_terminal import KEYS, Customer, profile_body

SHOWN = {"id", "name", "type", "public_key", "fingerprint", "has_passphrase", "created_at", "last_used_at"}


def stored(alice: Customer) -> list[dict[str, Any]]:
    return alice.running.rows("SELECT * FROM ssh_keys WHERE user_id = %s ORDER BY id", alice.id)


def opened(alice: Customer) -> bytes:
    """The one that she has."""
    (row,) = stored(alice)
    owner = owner_of(UUID(row["user_id"]), UUID(row["id"]))
    return alice.running.made.auth.data_keys.open(bytes(row["sealed"]), owner)


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_a_key_is_kept_as_it_is_and_sealed_for_its_owner_and_its_id(alice: Customer, passphrase: str | None) -> None:
    text = key_file(passphrase=passphrase)
    told = alice.add_key(name="laptop", private_key=text)
    assert told.keys() == SHOWN
    assert (told["type"], told["has_passphrase"]) == ("ssh-ed25519", passphrase is not None)
    assert told["public_key"].startswith("ssh-ed25519 AAAA")
    assert opened(alice) == text.encode()
    (row,) = stored(alice)
    assert row["key_id"] == alice.running.made.auth.data_keys.current
    assert b"OPENSSH" not in bytes(row["sealed"])


def test_a_new_key_is_made_here(alice: Customer) -> None:
    told = alice.add_key(name="new", generate="ed25519")
    assert (told["type"], told["has_passphrase"]) == ("ssh-ed25519", False)
    assert opened(alice).startswith(b"-----BEGIN OPENSSH")


def test_keys_are_listed_without_what_is_private(alice: Customer) -> None:
    made = [alice.add_key() for _ in range(3)]
    first = alice.call("GET", f"{KEYS}?limit=2").get_json()
    second = alice.call("GET", f"{KEYS}?limit=2&cursor={first['next_cursor']}").get_json()
    assert [*first["keys"], *second["keys"]] == made[::-1]
    assert second["next_cursor"] is None


def test_a_key_of_another_user_is_not_there(alice: Customer, bob: Customer) -> None:
    key = alice.add_key()
    assert bob.call("GET", KEYS).get_json()["keys"] == []
    assert bob.call("DELETE", f"{KEYS}/{key['id']}").status_code == 404
    assert len(stored(alice)) == 1


def test_a_deleted_key_is_gone(alice: Customer) -> None:
    key = alice.add_key()
    assert alice.call("DELETE", f"{KEYS}/{key['id']}").status_code == 204
    assert stored(alice) == []
    assert alice.call("DELETE", f"{KEYS}/{key['id']}").status_code == 404


def test_a_key_that_a_profile_has_stays(alice: Customer) -> None:
    key = alice.add_key()
    profile = alice.profile(auth="key", ssh_key_id=key["id"])
    refused = alice.call("DELETE", f"{KEYS}/{key['id']}")
    assert (refused.status_code, refused.get_json()["error"]) == (409, "key_in_use")
    assert alice.call("DELETE", f"/api/terminal/ssh/profiles/{profile['id']}").status_code == 204
    assert alice.call("DELETE", f"{KEYS}/{key['id']}").status_code == 204


def test_keys_that_are_added_and_removed_are_security_events(alice: Customer) -> None:
    before = len(alice.events())
    key = alice.add_key()
    alice.call("DELETE", f"{KEYS}/{key['id']}")
    detail = {"key_id": key["id"], "fingerprint": key["fingerprint"]}
    assert [(each["event"], each["detail"]) for each in alice.events()[before:]] == [
        ("ssh_key_added", detail),
        ("ssh_key_removed", detail),
    ]


def test_a_plan_has_so_many_keys(bob: Customer) -> None:
    for _ in range(TERMINAL_LIMITS[Tier.FREE].keys):
        bob.add_key()
    refused = bob.call("POST", KEYS, {"name": "one more", "generate": "ed25519"})
    assert (refused.status_code, refused.get_json()["error"]) == (409, "too_many_ssh_keys")
    assert len(stored(bob)) == 2


def test_adding_a_key_asks_for_a_fresh_proof(alice: Customer) -> None:
    now = datetime.now(UTC)
    body = {"name": "laptop", "generate": "ed25519"}
    old = alice.token_of(now - timedelta(minutes=6))
    refused = alice.call("POST", KEYS, body, token=old)
    assert (refused.status_code, refused.get_json()["error"]) == (401, "insufficient_user_authentication")
    assert alice.call("GET", KEYS, token=old).status_code == 200
    assert alice.call("POST", KEYS, body, token=alice.token_of(now)).status_code == 201


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"name": "x", "private_key": "words"}, "key_not_readable"),
        ({"name": "x", "private_key": certificate()}, "key_not_readable"),
        ({"name": "x", "private_key": key_file(form="pkcs8-pem", passphrase=PASSPHRASE)}, "key_not_readable"),
        ({"name": "x", "private_key": key_file("ssh-dss")}, "key_not_readable"),
        ({"name": "x", "private_key": "k" * 1_048_576}, "validation_failed"),
        ({"name": "x", "private_key": ""}, "validation_failed"),
        ({"name": "x", "private_key": 7}, "validation_failed"),
        ({"name": "x", "private_key": None}, "validation_failed"),
        ({"name": "x", "generate": "rsa"}, "validation_failed"),
        ({"name": "x", "generate": "ed25519", "private_key": "words"}, "validation_failed"),
        ({"name": "x"}, "validation_failed"),
        ({"name": "", "generate": "ed25519"}, "validation_failed"),
        ({"generate": "ed25519"}, "validation_failed"),
        ({"name": "x", "generate": "ed25519", "passphrase": "y"}, "validation_failed"),
        ([], "validation_failed"),
    ],
)
def test_what_is_no_key_is_refused_and_nothing_kept(alice: Customer, body: object, error: str) -> None:
    refused = alice.call("POST", KEYS, body)
    assert (refused.status_code, refused.get_json()["error"]) == (422, error)
    assert stored(alice) == []


def test_nobody_learns_a_key_by_a_refusal(alice: Customer) -> None:
    canary = secrets.token_hex(16)
    for text in (canary, f"-----BEGIN OPENSSH PRIVATE KEY-----\n{canary}\n-----END OPENSSH PRIVATE KEY-----"):
        assert canary not in alice.call("POST", KEYS, {"name": "x", "private_key": text}).get_data(as_text=True)


def test_api_keys_and_impersonations_open_none_of_it(alice: Customer) -> None:
    made = alice.call("POST", "/api/auth/tokens", {"name": "program", "scopes": ["usage"]}).get_json()
    staff = alice.running.register(role="admin")
    begun = staff.call("POST", "/api/auth/admin/impersonate", {"user_id": alice.id, "reason": "ticket 4711 of Alice"})
    for token in (made["token"], begun.get_json()["access_token"]):
        for path in (
            KEYS,
            *(f"/api/terminal/{name}" for name in ("ssh/profiles", "ssh/known-hosts", "commands", "sync", "sessions")),
        ):
            for method, body in (("GET", None), ("PUT" if path.endswith("sync") else "POST", profile_body())):
                assert alice.call(method, path, body, token=token).status_code in {401, 403}
