"""POST and GET /api/auth/tokens"""

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from auth.jobs import auth_jobs
from auth.tokens.opaque import checksum
from tests.auth.accounts_app import Accounts, bearer
from tests.auth.conftest import MakeAccounts
from tests.auth.key_holder import KeyHolder


@pytest.fixture
def alice(accounts: Accounts) -> KeyHolder:
    return KeyHolder(accounts)


def test_a_new_key_is_shown_once_and_kept_as_a_hash(alice: KeyHolder) -> None:
    answer = alice.create(allowed_networks=["203.0.113.7", "2001:DB8::/32"])
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    made = answer.get_json()
    token = made.pop("token")
    assert re.fullmatch(r"tok_[0-9A-Za-z]{49}", token)
    assert token.endswith(checksum(token[:-6]))
    assert made["start"] == token[:12]
    assert made["allowed_networks"] == ["203.0.113.7/32", "2001:db8::/32"]
    assert (made["name"], made["scopes"], made["state"]) == ("nightly report", ["predict", "usage"], "live")
    assert alice.listed() == [made]
    [(stored,)] = alice.accounts.query("SELECT token_hash FROM api_keys")
    assert bytes(stored) == hashlib.sha256(token.encode()).digest()
    [row] = alice.accounts.query("SELECT api_keys::text FROM api_keys")
    assert token[12:] not in row[0]


def test_a_key_lives_ninety_days_unless_said_otherwise(alice: KeyHolder) -> None:
    alice.key()
    alice.key(expires_in_days=365)
    days = "SELECT extract(day FROM expires_at - created_at) FROM api_keys ORDER BY id"
    assert [int(row[0]) for row in alice.accounts.query(days)] == [90, 365]


def test_a_name_is_all_that_a_key_needs(alice: KeyHolder) -> None:
    answer = alice.accounts.post("/tokens", {"name": "Production API Token"}, headers=bearer(alice.access_token))
    assert answer.status_code == 201, answer.text
    made = answer.get_json()
    assert made["scopes"] == ["predict"]
    assert alice.use(made["token"], "/tried/metered").status_code == 200
    assert alice.use(made["token"]).get_json()["error"] == "insufficient_scope"


def test_a_key_may_have_no_end(alice: KeyHolder) -> None:
    made = alice.key(expires_in_days=None)
    assert (made["expires_at"], made["state"]) == (None, "live")
    alice.accounts.clock.advance(days=5000)
    for path in ("/tried/usage", "/tried/metered"):
        assert alice.use(made["token"], path).status_code == 200
    with alice.accounts.app.app_context():
        [purge] = [job for job in auth_jobs(alice.accounts.auth) if job.name == "purge_api_keys"]
        assert purge.run() == 0
    alice.access_token = alice.accounts.sign_in().get_json()["access_token"]
    assert [key["id"] for key in alice.listed()] == [made["id"]]
    alice.revoke(made["id"])
    assert alice.use(made["token"]).status_code == 401
    assert alice.use(made["token"], "/tried/metered").status_code == 401


@pytest.mark.parametrize("days", [30, None])
def test_the_operator_says_how_long_keys_live(make_accounts: MakeAccounts, days: int | None) -> None:
    alice = KeyHolder(make_accounts(api_key_default_days=days))
    alice.key()
    lives = "SELECT extract(day FROM expires_at - created_at) FROM api_keys"
    assert alice.accounts.query(lives) == [(days,)]


def test_the_owner_is_told(alice: KeyHolder) -> None:
    alice.key()
    assert [message["Subject"] for message in alice.accounts.messages()] == ["A new API key was created"]
    assert alice.accounts.events(alice.user_id)[-1] == "api_key_created"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "  "}, "/name"),
        ({"name": "line\nbreak"}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["admin"]}, "/scopes/0"),
        ({"scopes": "predict"}, "/scopes"),
        ({"expires_in_days": 0}, "/expires_in_days"),
        ({"expires_in_days": 366}, "/expires_in_days"),
        ({"allowed_networks": ["203.0.113.7/24"]}, "/allowed_networks/0"),
        ({"allowed_networks": ["203.0.113.0/255.255.255.0"]}, "/allowed_networks/0"),
        ({"allowed_networks": ["203.0.113.0/33"]}, "/allowed_networks/0"),
        ({"allowed_networks": ["203.0.113.0/²"]}, "/allowed_networks/0"),
        ({"allowed_networks": ["fe80::1%eth0"]}, "/allowed_networks/0"),
        ({"allowed_networks": ["::ffff:203.0.113.7"]}, "/allowed_networks/0"),
        ({"allowed_networks": ["example.com"]}, "/allowed_networks/0"),
        ({"allowed_networks": [""]}, "/allowed_networks/0"),
        ({"allowed_networks": ["10.0.0.0/8"] * 21}, "/allowed_networks"),
        ({"user_id": "0193a5b0-7c1e-7000-8000-0242ac120002"}, "/user_id"),
    ],
    ids=repr,
)
def test_a_wish_that_is_not_acceptable_makes_no_key(alice: KeyHolder, changes: dict[str, Any], pointer: str) -> None:
    answer = alice.create(**changes)
    assert answer.status_code == 422, answer.text
    assert answer.get_json()["errors"][0]["pointer"] == pointer
    assert alice.listed() == []


def test_only_a_fresh_sign_in_makes_keys(alice: KeyHolder) -> None:
    alice.accounts.clock.advance(minutes=6)
    refused = alice.create()
    assert (refused.status_code, refused.get_json()["error"]) == (401, "insufficient_user_authentication")
    assert "max_age=300" in refused.headers["WWW-Authenticate"]
    assert alice.listed() == []


def test_nobody_makes_or_sees_keys_without_signing_in(alice: KeyHolder) -> None:
    assert alice.accounts.post("/tokens", {"name": "x", "scopes": ["usage"]}).status_code == 401
    assert alice.accounts.client.get("/api/auth/tokens").status_code == 401


def test_a_user_sees_no_keys_of_another(alice: KeyHolder) -> None:
    alice.key()
    assert KeyHolder(alice.accounts, "bob@example.com").listed() == []


def test_the_twenty_sixth_key_is_refused_however_many_ask_at_once(alice: KeyHolder) -> None:
    for _ in range(20):
        alice.key()

    def create(_: int) -> int:
        return alice.create().status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(create, range(8)))
    assert statuses == [201] * 5 + [409] * 3
    assert alice.create().get_json()["error"] == "too_many_api_keys"
    assert alice.accounts.query("SELECT count(*) FROM api_keys") == [(25,)]


def test_keys_that_ended_make_room(alice: KeyHolder) -> None:
    keys = [alice.key() for _ in range(25)]
    alice.revoke(keys[0]["id"])
    assert alice.create().status_code == 201


def test_an_account_makes_thirty_keys_an_hour(alice: KeyHolder) -> None:
    for _ in range(30):
        alice.revoke(alice.key()["id"])
    alice.accounts.clock.advance(minutes=2)
    refused = alice.create()
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, str(58 * 60))


def test_keys_that_ended_are_listed_last_and_deleted_after_a_month(alice: KeyHolder) -> None:
    old, short = alice.key(name="old"), alice.key(name="short", expires_in_days=1)
    alice.key(name="lives")
    alice.revoke(old["id"])
    alice.accounts.clock.advance(days=1, minutes=1)
    alice.access_token = alice.accounts.sign_in().get_json()["access_token"]
    assert [(key["name"], key["state"]) for key in alice.listed()] == [
        ("lives", "live"),
        ("short", "expired"),
        ("old", "revoked"),
    ]
    assert short["state"] == "live"
    alice.accounts.clock.advance(days=30)
    with alice.accounts.app.app_context():
        [purge] = [job for job in auth_jobs(alice.accounts.auth) if job.name == "purge_api_keys"]
        assert purge.run() == 2
    alice.access_token = alice.accounts.sign_in().get_json()["access_token"]
    assert [key["name"] for key in alice.listed()] == ["lives"]


def test_an_answer_never_repeats_a_key(alice: KeyHolder) -> None:
    token = alice.key()["token"]
    answers = [
        alice.use(token, "/api/auth/profile"),
        alice.use(f"{token[:-1]}!", "/api/auth/profile"),
        alice.accounts.client.get(f"/api/auth/profile?access_token={token}"),
        alice.accounts.post("/tokens", {"name": token, token: 1}, headers=bearer(alice.access_token)),
    ]
    assert [answer.status_code for answer in answers] == [403, 401, 401, 422]
    assert not any(token[12:] in answer.text for answer in answers)
