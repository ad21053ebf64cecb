"""/api/auth/passkeys: registering, seeing, renaming and deleting them"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from auth.second_factor.passkeys.webauthn import PasskeySite
from tests.auth.accounts_app import Accounts
from tests.auth.conftest import MakeAccounts
from tests.auth.factor_owner import FactorOwner
from tests.auth.software_passkey import SoftwarePasskey, encoded


@pytest.fixture
def alice(accounts: Accounts) -> FactorOwner:
    return FactorOwner(accounts)


def count(alice: FactorOwner) -> int:
    return int(alice.accounts.query("SELECT count(*) FROM passkeys")[0][0])


def test_the_options_ask_for_a_passkey_that_is_both_factors(alice: FactorOwner) -> None:
    options = alice.registration_options()
    assert options["rp"] == {"id": "api.example.com", "name": "MirrorOS"}
    assert options["user"]["name"] == "alice@example.com"
    assert options["authenticatorSelection"]["residentKey"] == "required"
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert options["attestation"] == "none"
    assert len(options["challenge"]) == 43
    assert options["excludeCredentials"] == []


def test_the_first_passkey_is_the_second_factor_and_brings_recovery_codes(alice: FactorOwner) -> None:
    answer = alice.register(SoftwarePasskey().create(alice.registration_options()), "Alice's phone 👩‍💻")
    assert answer.status_code == 201, answer.text
    passkey = answer.get_json()["passkey"]
    assert (passkey["name"], passkey["synchronised"]) == ("Alice's phone 👩‍💻", True)
    assert passkey["transports"] == ["hybrid", "internal"]
    assert passkey["last_used_at"] is None
    assert len(answer.get_json()["recovery_codes"]) == 10
    assert alice.status() == {"enabled": True, "totp": False, "passkeys": 1, "recovery_codes_left": 10}
    assert alice.accounts.sign_in().get_json()["methods"] == ["passkey", "recovery_code"]


def test_the_second_one_keeps_the_recovery_codes_and_is_not_made_in_the_same_place(alice: FactorOwner) -> None:
    first = alice.add_passkey()
    options = alice.registration_options()
    assert [known["id"] for known in options["excludeCredentials"]] == [encoded(first.credential_id)]
    answer = alice.register(SoftwarePasskey().create(options))
    assert answer.get_json()["recovery_codes"] is None
    assert alice.status()["recovery_codes_left"] == 10


def test_a_new_passkey_ends_the_other_sessions_and_the_owner_is_told(alice: FactorOwner) -> None:
    other = alice.accounts.sign_in().get_json()
    alice.add_passkey()
    assert alice.accounts.profile(other["access_token"]).status_code == 401
    assert [message["Subject"] for message in alice.accounts.messages()] == ["A passkey was added"]
    assert "passkey_added" in alice.accounts.events(alice.user_id)


LIES: dict[str, dict[str, Any]] = {
    "another origin": {"origin": "https://api.example.com.evil.org"},
    "plain http": {"origin": "http://api.example.com"},
    "another port": {"origin": "https://api.example.com:8443"},
    "another domain": {"rp_id": "evil.org"},
    "nobody verified": {"verified": False},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_passkey_made_for_somebody_else_is_refused(alice: FactorOwner, lie: str) -> None:
    answer = alice.register(SoftwarePasskey(**LIES[lie]).create(alice.registration_options()))
    assert (answer.status_code, answer.get_json()["error"]) == (400, "passkey_not_accepted")
    assert count(alice) == 0
    assert alice.status()["enabled"] is False


@pytest.mark.parametrize(
    "client",
    [
        {"challenge": encoded(bytes(32))},
        {"challenge": ""},
        {"challenge": 7},
        {"challenge": None},
        {"type": "webauthn.get"},
        {"crossOrigin": True},
        {"origin": ["https://api.example.com"]},
    ],
)
def test_what_the_browser_did_not_say_of_us_is_refused(alice: FactorOwner, client: dict[str, Any]) -> None:
    answer = alice.register(SoftwarePasskey().create(alice.registration_options(), **client))
    assert (answer.status_code, answer.get_json()["error"]) == (400, "passkey_not_accepted")
    assert count(alice) == 0


def test_a_challenge_is_good_once(alice: FactorOwner) -> None:
    options = alice.registration_options()
    assert alice.register(SoftwarePasskey().create(options)).status_code == 201
    assert alice.register(SoftwarePasskey().create(options)).status_code == 400
    assert count(alice) == 1


def test_a_refused_answer_spends_the_challenge(alice: FactorOwner) -> None:
    options = alice.registration_options()
    alice.register(SoftwarePasskey(rp_id="evil.org").create(options))
    assert alice.register(SoftwarePasskey().create(options)).status_code == 400


def test_a_challenge_that_ran_out_is_refused(alice: FactorOwner) -> None:
    """It lives as long as the fresh sign-in that it needs, so a test cannot simply wait."""
    options = alice.registration_options()
    alice.accounts.query("UPDATE passkey_challenges SET expires_at = :now", now=alice.accounts.clock())
    assert alice.register(SoftwarePasskey().create(options)).status_code == 400


def test_a_challenge_is_for_the_session_that_asked(alice: FactorOwner) -> None:
    options = alice.registration_options()
    alice.access_token = alice.accounts.sign_in().get_json()["access_token"]
    assert alice.register(SoftwarePasskey().create(options)).status_code == 400
    bob = FactorOwner(alice.accounts, "bob@example.com")
    assert bob.register(SoftwarePasskey().create(options)).status_code == 400


def test_a_challenge_to_sign_in_registers_nothing(alice: FactorOwner) -> None:
    options = alice.registration_options()
    signing_in = alice.accounts.post("/passkeys/sign-in/options").get_json()["options"]
    assert alice.register(SoftwarePasskey().create({**options, **signing_in})).status_code == 400


def test_one_credential_is_registered_once_also_for_another_account(alice: FactorOwner) -> None:
    passkey = alice.add_passkey()
    assert alice.register(passkey.create(alice.registration_options())).status_code == 400
    bob = FactorOwner(alice.accounts, "bob@example.com")
    assert bob.register(passkey.create(bob.registration_options())).status_code == 400
    assert bob.status()["enabled"] is False
    assert count(alice) == 1


def test_there_are_at_most_ten(alice: FactorOwner) -> None:
    for _ in range(9):
        alice.add_passkey()
    options = alice.registration_options()
    assert alice.register(SoftwarePasskey().create(options)).status_code == 201
    answer = alice.ask("POST", "/passkeys/registration/options")
    assert (answer.status_code, answer.get_json()["error"]) == (409, "too_many_passkeys")
    assert count(alice) == 10


def test_two_registrations_at_once_with_one_challenge_make_one_passkey(alice: FactorOwner) -> None:
    options = alice.registration_options()
    answers = [SoftwarePasskey().create(options) for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        statuses = sorted(answer.status_code for answer in threads.map(alice.register, answers))
    assert statuses == [201] + [400] * 5


def test_the_owner_sees_and_renames_them(alice: FactorOwner) -> None:
    alice.add_passkey("phone")
    alice.add_passkey("laptop")
    listed = alice.ask("GET", "/passkeys").get_json()["passkeys"]
    assert [passkey["name"] for passkey in listed] == ["laptop", "phone"]
    assert not {"public_key", "credential_id", "sign_count"} & set(listed[0])
    renamed = alice.ask("PATCH", f"/passkeys/{listed[0]['id']}", {"name": "old laptop"})
    assert renamed.get_json()["name"] == "old laptop"
    names = [passkey["name"] for passkey in alice.ask("GET", "/passkeys").get_json()["passkeys"]]
    assert names == ["old laptop", "phone"]


@pytest.mark.parametrize("name", ["", "x" * 101, "two\nlines", "bell\x07", None, 7])
def test_a_name_is_one_short_line(alice: FactorOwner, name: Any) -> None:
    alice.add_passkey("phone")
    [passkey] = alice.ask("GET", "/passkeys").get_json()["passkeys"]
    assert alice.ask("PATCH", f"/passkeys/{passkey['id']}", {"name": name}).status_code == 422
    assert alice.ask("GET", "/passkeys").get_json()["passkeys"] == [passkey]


def test_a_deleted_passkey_opens_nothing_and_takes_the_recovery_codes_along(alice: FactorOwner) -> None:
    other = alice.add_passkey()
    [shown] = alice.ask("GET", "/passkeys").get_json()["passkeys"]
    alice.accounts.messages()
    assert alice.ask("DELETE", f"/passkeys/{shown['id']}").status_code == 204
    assert alice.status() == {"enabled": False, "totp": False, "passkeys": 0, "recovery_codes_left": 0}
    options = alice.accounts.post("/passkeys/sign-in/options").get_json()["options"]
    assert alice.accounts.post("/passkeys/sign-in", {"credential": other.get(options)}).status_code == 401
    assert [message["Subject"] for message in alice.accounts.messages()] == ["A passkey was removed"]


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_the_passkey_of_somebody_else_is_not_there(alice: FactorOwner, method: str) -> None:
    alice.add_passkey()
    [passkey] = alice.ask("GET", "/passkeys").get_json()["passkeys"]
    mallory = FactorOwner(alice.accounts, "mallory@example.com")
    answer = mallory.ask(method, f"/passkeys/{passkey['id']}", {"name": "mine"} if method == "PATCH" else None)
    assert (answer.status_code, answer.get_json()["error"]) == (404, "not_found")
    assert alice.ask("GET", "/passkeys").get_json()["passkeys"] == [passkey]
    assert mallory.accounts.events(mallory.user_id) == ["registered"]


@pytest.mark.parametrize(
    "broken",
    [
        {"attestationObject": encoded(b"\xff" * 40)},
        {"attestationObject": "AA"},
        {"attestationObject": encoded(b"\x9f" * 3000)},
        {"clientDataJSON": encoded(b"[1]")},
        {"clientDataJSON": encoded(b"{" * 9000)},
        {"clientDataJSON": encoded(b"[" * 9000)},
        {"clientDataJSON": encoded(b'{"type": 1, "challenge": {}, "origin": null}')},
    ],
)
def test_bytes_that_are_no_answer_are_refused(alice: FactorOwner, broken: dict[str, str]) -> None:
    credential = SoftwarePasskey().create(alice.registration_options())
    credential["response"] |= broken
    assert alice.register(credential).status_code == 400


@pytest.mark.parametrize(
    "change",
    [
        {"id": "a b"},
        {"id": "AB"},
        {"id": "AAAAA"},
        {"type": "password"},
        {"response": {}},
        {"rawId": None},
        {"id": "A" * 20_000},
    ],
)
def test_a_credential_has_its_form(alice: FactorOwner, change: dict[str, Any]) -> None:
    credential = SoftwarePasskey().create(alice.registration_options())
    assert alice.register(credential | change).status_code == 422


def test_an_android_app_registers_by_the_hash_of_its_certificate(make_accounts: MakeAccounts) -> None:
    app = "android:apk-key-hash:" + "A" * 43
    alice = FactorOwner(make_accounts(passkey_site=PasskeySite("example.com", frozenset({app}))))
    options = alice.registration_options()
    assert options["rp"]["id"] == "example.com"
    passkey = SoftwarePasskey(rp_id="example.com")
    assert alice.register(passkey.create(options)).status_code == 400
    passkey = SoftwarePasskey(origin=app, rp_id="example.com")
    assert alice.register(passkey.create(alice.registration_options())).status_code == 201
