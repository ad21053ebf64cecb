"""Calling with an API key: where it works, where it does not, and what it costs."""

from typing import Any

import pytest
from limits import RateLimitItemPerMinute
from sqlalchemy import text

from api_description import TAGS
from auth.account_change import account_change
from auth.rate_limits.by_address import AuthLimits
from auth.scopes import USAGE
from auth.tokens.opaque import checksum
from sandbox.valkey import EmbeddedValkey
from security.api.openapi import ApiDescription, openapi_document
from security.api.operation import OPERATIONS_KEY
from security.edge.problems import InvalidToken
from tests.auth.accounts_app import GENEROUS, Accounts, bearer
from tests.auth.conftest import MakeAccounts
from tests.auth.key_holder import HERE, KeyHolder
from tests.auth.test_account_state import counted, still_holds

PATHS = ("/tried/usage", "/tried/metered")


@pytest.fixture
def alice(accounts: Accounts) -> KeyHolder:
    return KeyHolder(accounts)


def spoiled(token: str) -> str:
    return token[:-1] + ("0" if token[-1] != "0" else "1")


def guessed(token: str) -> str:
    """Another token, with the right checksum."""
    unsigned = token[:-7] + ("0" if token[-7] != "0" else "1")
    return unsigned + checksum(unsigned)


def test_a_key_calls_for_its_user_with_the_tier_of_this_moment(alice: KeyHolder) -> None:
    token = alice.key()["token"]
    for path in PATHS:
        assert alice.use(token, path).get_json() == {"tier": "free"}
    user_id = alice.accounts.auth.access_tokens.verify(alice.access_token).user_id
    with alice.accounts.app.app_context(), account_change(alice.accounts.auth.states, alice.accounts.clock()) as change:
        change.session.execute(text("UPDATE users SET tier = 'pro'"))
        change.permission_changed(user_id)
    assert alice.use(token).get_json() == {"tier": "pro"}


@pytest.mark.parametrize("path", PATHS)
def test_what_is_no_key_is_unauthorised(alice: KeyHolder, path: str) -> None:
    token = alice.key()["token"]
    wrong = [
        spoiled(token),
        guessed(token),
        token[:-1],
        token + "0",
        token[:12],
        "tok_%",
        "tok_" + "_" * 49,
        "tok_" + "%" * 49,
        "tok_",
        token.upper(),
        "tok_" + "é" * 49,
    ]
    for each in wrong:
        answer = alice.use(each, path)
        assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_token"), each
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="mirroros", error="invalid_token"'


@pytest.mark.parametrize("path", PATHS)
def test_an_expired_key_is_unauthorised(alice: KeyHolder, path: str) -> None:
    token = alice.key(expires_in_days=1)["token"]
    alice.accounts.clock.advance(days=1, seconds=-1)
    assert alice.use(token, path).status_code == 200
    alice.accounts.clock.advance(seconds=1)
    assert alice.use(token, path).status_code == 401


def test_a_key_is_good_for_its_scopes_alone(alice: KeyHolder) -> None:
    predict, usage = alice.key(scopes=["predict"])["token"], alice.key(scopes=["usage"])["token"]
    assert [alice.use(predict, path).status_code for path in PATHS] == [403, 200]
    refused = alice.use(usage, "/tried/metered")
    assert (refused.status_code, refused.get_json()["error"]) == (403, "insufficient_scope")
    challenge = 'Bearer realm="mirroros", error="insufficient_scope", scope="predict"'
    assert refused.headers["WWW-Authenticate"] == challenge


@pytest.mark.parametrize("path", PATHS)
def test_a_key_works_from_its_networks_alone(alice: KeyHolder, path: str) -> None:
    token = alice.key(allowed_networks=["198.51.100.0/24", "2001:db8::/32"])["token"]
    for inside in ("198.51.100.1", "198.51.100.255", "2001:db8:1::1", "::ffff:198.51.100.1"):
        assert alice.use(token, path, inside).status_code == 200, inside
    for outside in ("198.51.101.0", HERE, "2001:db9::1"):
        refused = alice.use(token, path, outside)
        assert (refused.status_code, refused.get_json()["error"]) == (403, "network_not_allowed"), outside


def test_operators_are_told_of_a_good_key_in_the_wrong_place(alice: KeyHolder, security_events: list[Any]) -> None:
    key = alice.key(allowed_networks=["198.51.100.0/24"])
    security_events.clear()
    alice.use(key["token"])
    [event] = [each for each in security_events if each["event"] == "api_key_refused"]
    assert (event["reason"], str(event["key_id"])) == ("network_not_allowed", key["id"])


def test_a_key_that_ended_hears_nothing_of_scopes_and_networks(alice: KeyHolder) -> None:
    key = alice.key(scopes=["usage"], allowed_networks=["198.51.100.0/24"])
    assert alice.use(key["token"]).status_code == 403
    alice.revoke(key["id"])
    assert [alice.use(key["token"], path).status_code for path in PATHS] == [401, 401]


ACCOUNT_ROUTES = [
    ("GET", "/profile", None),
    ("GET", "/tokens", None),
    ("POST", "/tokens", {"name": "more", "scopes": ["predict"]}),
    ("DELETE", "/tokens/{id}", None),
    ("POST", "/tokens/{id}/rotate", {}),
    ("POST", "/logout", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ACCOUNT_ROUTES, ids=str)
def test_a_key_does_nothing_with_the_account(alice: KeyHolder, method: str, path: str, body: Any) -> None:
    key = alice.key()
    address = "/api/auth" + path.format(id=key["id"])

    def call(token: str) -> Any:
        return alice.accounts.client.open(address, method=method, json=body, headers=bearer(token))

    refused = call(key["token"])
    assert (refused.status_code, refused.get_json()["error"]) == (403, "insufficient_scope")
    assert refused.headers["WWW-Authenticate"].endswith('scope="account"')
    assert call(guessed(key["token"])).status_code == 401
    assert [each["state"] for each in alice.listed()] == ["live"]


def test_a_key_in_the_address_is_not_read(alice: KeyHolder) -> None:
    token = alice.key()["token"]
    answer = alice.accounts.client.get(f"/tried/usage?access_token={token}")
    assert (answer.status_code, answer.get_json()["error"]) == (401, "not_signed_in")


@pytest.mark.parametrize("path", PATHS)
def test_an_address_that_guesses_keys_is_stopped_and_known_keys_work_on(make_accounts: MakeAccounts, path: str) -> None:
    accounts = make_accounts(limits=AuthLimits(sign_in=GENEROUS.sign_in, wrong_api_keys=RateLimitItemPerMinute(10)))
    alice = KeyHolder(accounts)
    known, unknown = alice.key()["token"], alice.key()["token"]
    assert alice.use(known, path).status_code == 200
    guesses = [spoiled(known), guessed(known)] * 6
    statuses = [alice.use(guess, path).status_code for guess in guesses]
    assert statuses == [401] * 10 + [429] * 2
    refused = alice.use(unknown, path)
    assert (refused.status_code, int(refused.headers["Retry-After"]) >= 1) == (429, True)
    assert alice.use(known, path).status_code == 200
    assert alice.use(unknown, path, "198.51.100.1").status_code == 200


def test_a_key_that_ended_is_no_guess(make_accounts: MakeAccounts) -> None:
    alice = KeyHolder(make_accounts(limits=AuthLimits(wrong_api_keys=RateLimitItemPerMinute(3))))
    key = alice.key()
    alice.revoke(key["id"])
    assert {alice.use(key["token"]).status_code for _ in range(6)} == {401}


def test_a_mistyped_key_never_reaches_postgresql(alice: KeyHolder) -> None:
    token = alice.key()["token"]
    with counted(alice.accounts) as counts:
        assert alice.use(spoiled(token)).status_code == 401
    assert counts["postgres"] == 0


def test_a_warm_key_costs_one_redis_command_and_a_warm_metered_one_none(alice: KeyHolder) -> None:
    token, auth = alice.key()["token"], alice.accounts.auth
    for guard, commands in ((auth.signed_in_or_key(USAGE), 1), (auth.metered("predict"), 0)):
        with alice.accounts.app.test_request_context(headers=bearer(token)):
            guard.admit()
            with counted(alice.accounts) as counts:
                for _ in range(3):
                    guard.admit()
        assert counts == {"redis": 3 * commands, "postgres": 0}


def test_the_script_that_reserves_sees_that_a_key_was_revoked(alice: KeyHolder) -> None:
    accounts, key = alice.accounts, alice.key()
    with accounts.app.test_request_context(headers=bearer(key["token"])):
        caller = accounts.auth.metered("predict").admit()
        assert still_holds(accounts, caller)
        assert accounts.auth.metered("predict").renew(caller) == caller
    alice.revoke(key["id"])
    assert not still_holds(accounts, caller)


def test_a_metered_key_is_asked_about_again_after_a_revocation(alice: KeyHolder) -> None:
    accounts, key = alice.accounts, alice.key()
    with accounts.app.test_request_context(headers=bearer(key["token"])):
        caller = accounts.auth.metered("predict").admit()
        alice.revoke(key["id"])
    with accounts.app.test_request_context(), pytest.raises(InvalidToken):
        accounts.auth.metered("predict").renew(caller)


@pytest.mark.parametrize("path", PATHS)
def test_without_redis_postgresql_answers(make_accounts: MakeAccounts, path: str) -> None:
    alice = KeyHolder(make_accounts(redis_at=None))
    key = alice.key()
    assert alice.use(key["token"], path).status_code == 200
    alice.revoke(key["id"])
    assert alice.use(key["token"], path).status_code == 401


def test_when_redis_dies_keys_work_on(make_accounts: MakeAccounts, own_valkey: EmbeddedValkey) -> None:
    alice = KeyHolder(make_accounts(redis_at=own_valkey.url))
    key = alice.key()
    assert alice.use(key["token"]).status_code == 200
    own_valkey.kill()
    assert [alice.use(key["token"], path).status_code for path in PATHS] == [200, 200]
    alice.revoke(key["id"])
    assert [alice.use(key["token"], path).status_code for path in PATHS] == [401, 401]


def last_use(alice: KeyHolder) -> tuple[Any, ...]:
    return tuple(alice.accounts.query("SELECT last_used_at, last_used_ip FROM api_keys")[0])


def test_the_last_use_is_written_once_a_minute(alice: KeyHolder) -> None:
    token, clock = alice.key()["token"], alice.accounts.clock
    assert alice.listed()[0]["last_used_at"] is None
    first = clock()
    alice.use(token)
    clock.advance(seconds=59)
    alice.use(token, "/tried/metered")
    assert last_use(alice) == (first, HERE)
    clock.advance(seconds=1)
    alice.use(token, "/tried/metered", "192.0.2.99")
    assert last_use(alice) == (clock(), "192.0.2.99")
    assert alice.listed()[0]["last_used_ip"] == "192.0.2.99"


def test_two_processes_write_the_last_use_once(make_accounts: MakeAccounts) -> None:
    one, other = make_accounts(), make_accounts()
    alice, bob = KeyHolder(one), KeyHolder(other, "bob@example.com")
    other.clock.now = one.clock.now
    token, first = alice.key()["token"], one.clock()
    alice.use(token)
    other.clock.advance(seconds=30)
    bob.use(token, address="192.0.2.2")
    assert last_use(alice) == (first, HERE)


def test_the_first_use_from_a_network_is_an_event(alice: KeyHolder) -> None:
    token = alice.key()["token"]
    for address in (HERE, "192.0.2.200", "198.51.100.1", "2001:db8:1::1", "2001:db8:1:2::1", HERE):
        alice.use(token, address=address)
    seen = "SELECT ip FROM security_events WHERE event = 'api_key_used_from_new_network' ORDER BY id"
    assert [row[0] for row in alice.accounts.query(seen)] == [HERE, "198.51.100.1", "2001:db8:1::1"]


def test_a_refused_call_is_no_use(alice: KeyHolder) -> None:
    token = alice.key(scopes=["predict"])["token"]
    assert alice.use(token, "/tried/usage").status_code == 403
    assert alice.use(token, "/api/auth/profile").status_code == 403
    assert last_use(alice) == (None, None)


def test_a_use_that_cannot_be_noted_does_not_stop_the_call(alice: KeyHolder) -> None:
    token = alice.key()["token"]
    alice.accounts.query("ALTER TABLE api_keys ADD CONSTRAINT never_used CHECK (last_used_at IS NULL)")
    assert alice.use(token).status_code == 200
    alice.accounts.query("ALTER TABLE api_keys DROP CONSTRAINT never_used")
    assert alice.use(token).status_code == 200
    assert last_use(alice) == (alice.accounts.clock(), HERE)


def test_the_document_names_both_ways_to_authenticate(alice: KeyHolder) -> None:
    api = ApiDescription("Test", "1", server="https://api.example.com", tags={**TAGS, "tried": "x"})
    document = openapi_document(alice.accounts.app.extensions[OPERATIONS_KEY], api)
    for path in PATHS:
        assert document["paths"][path]["get"]["security"] == [{"bearer": []}, {"apiKey": []}]
    assert document["paths"]["/api/auth/tokens"]["get"]["security"] == [{"bearer": []}]
    assert document["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
