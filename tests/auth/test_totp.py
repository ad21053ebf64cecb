"""/api/auth/second-factor and /api/auth/second-factor/totp"""

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree

import pytest

from tests.auth.accounts_app import Accounts
from tests.auth.factor_owner import FactorOwner

CHANGES = [
    ("POST", "/second-factor/totp/setup", None),
    ("POST", "/second-factor/totp/confirm", {"code": "123456"}),
    ("DELETE", "/second-factor/totp", None),
    ("POST", "/second-factor/recovery-codes", None),
    ("POST", "/passkeys/registration/options", None),
    ("DELETE", "/passkeys/0193a5b0-7c1e-7000-8000-0242ac120002", None),
]


@pytest.fixture
def alice(accounts: Accounts) -> FactorOwner:
    return FactorOwner(accounts)


def test_a_new_account_has_no_second_factor(alice: FactorOwner) -> None:
    assert alice.status() == {"enabled": False, "totp": False, "passkeys": 0, "recovery_codes_left": 0}
    assert alice.accounts.sign_in().status_code == 200


def test_a_setup_can_be_typed_or_scanned(alice: FactorOwner) -> None:
    setup = alice.ask("POST", "/second-factor/totp/setup").get_json()
    uri = urlsplit(setup["otpauth_uri"])
    assert (uri.scheme, uri.netloc, unquote(uri.path)) == ("otpauth", "totp", "/MirrorOS:alice@example.com")
    assert parse_qs(uri.query) == {"secret": [setup["secret"]], "issuer": ["MirrorOS"]}
    picture = ElementTree.fromstring(setup["qr_svg"])  # noqa: S314 - our own
    namespace = "{http://www.w3.org/2000/svg}"
    assert picture.tag == f"{namespace}svg"
    assert picture.get("role") == "img"
    assert picture.findtext(f"{namespace}title") == "QR code for your authenticator app"
    assert {element.tag.removeprefix(namespace) for element in picture.iter()} == {"svg", "title", "desc", "g", "path"}
    assert not {name for element in picture.iter() for name in element.attrib if name in {"style", "onload", "href"}}


def test_a_setup_counts_for_nothing_before_it_is_confirmed(alice: FactorOwner) -> None:
    alice.set_up_totp()
    assert alice.status()["enabled"] is False
    assert alice.accounts.sign_in().status_code == 200


def test_a_confirmed_code_turns_it_on_and_shows_ten_recovery_codes(alice: FactorOwner) -> None:
    alice.turn_on_totp()
    assert alice.status() == {"enabled": True, "totp": True, "passkeys": 0, "recovery_codes_left": 10}
    assert len(set(alice.recovery_codes)) == 10
    assert alice.begin_sign_in()


def test_a_wrong_code_turns_nothing_on(alice: FactorOwner) -> None:
    alice.set_up_totp()
    answer = alice.ask("POST", "/second-factor/totp/confirm", {"code": alice.wrong_code()})
    assert (answer.status_code, answer.get_json()["error"]) == (400, "totp_not_confirmed")
    assert alice.status()["enabled"] is False
    assert alice.accounts.events(alice.user_id) == ["registered"]


def test_a_setup_waits_fifteen_minutes(alice: FactorOwner) -> None:
    alice.set_up_totp()
    alice.accounts.clock.advance(minutes=15, seconds=1)
    alice.access_token = alice.accounts.sign_in().get_json()["access_token"]
    answer = alice.ask("POST", "/second-factor/totp/confirm", {"code": alice.code()})
    assert answer.get_json()["error"] == "totp_not_confirmed"


def test_a_second_setup_voids_the_first(alice: FactorOwner) -> None:
    alice.set_up_totp()
    before = alice.code()
    alice.set_up_totp()
    assert alice.ask("POST", "/second-factor/totp/confirm", {"code": before}).status_code == 400
    assert alice.ask("POST", "/second-factor/totp/confirm", {"code": alice.code()}).status_code == 200


def test_what_is_on_cannot_be_set_up_over(alice: FactorOwner) -> None:
    alice.turn_on_totp()
    answer = alice.ask("POST", "/second-factor/totp/setup")
    assert (answer.status_code, answer.get_json()["error"]) == (409, "totp_already_on")
    assert alice.ask("POST", "/second-factor/totp/confirm", {"code": alice.code()}).status_code == 400


def test_turning_it_off_takes_the_recovery_codes_along(alice: FactorOwner) -> None:
    alice.turn_on_totp()
    assert alice.ask("DELETE", "/second-factor/totp").status_code == 204
    assert alice.status() == {"enabled": False, "totp": False, "passkeys": 0, "recovery_codes_left": 0}
    assert alice.accounts.sign_in().status_code == 200
    assert alice.ask("DELETE", "/second-factor/totp").status_code == 404


def test_turning_it_off_beside_a_passkey_keeps_the_recovery_codes(alice: FactorOwner) -> None:
    alice.turn_on_totp()
    alice.add_passkey()
    alice.ask("DELETE", "/second-factor/totp")
    assert alice.status() == {"enabled": True, "totp": False, "passkeys": 1, "recovery_codes_left": 10}


def test_every_change_ends_the_other_sessions_and_tells_the_owner(alice: FactorOwner) -> None:
    accounts = alice.accounts
    other = accounts.sign_in().get_json()
    alice.turn_on_totp()
    assert accounts.profile(other["access_token"]).status_code == 401
    assert accounts.refresh(other["refresh_token"]).status_code == 401
    assert accounts.profile(alice.access_token).status_code == 200
    alice.ask("POST", "/second-factor/recovery-codes")
    alice.ask("DELETE", "/second-factor/totp")
    events = ["totp_turned_on", "recovery_codes_replaced", "totp_turned_off"]
    assert [event for event in accounts.events(alice.user_id) if event in events] == events
    assert [message["Subject"] for message in accounts.messages()] == [
        "Your authenticator app is on",
        "You have new recovery codes",
        "Your authenticator app is off",
    ]


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_an_old_sign_in_changes_nothing(alice: FactorOwner, method: str, path: str, body: object) -> None:
    alice.accounts.clock.advance(minutes=5, seconds=1)
    answer = alice.ask(method, path, body)
    assert (answer.status_code, answer.get_json()["error"]) == (401, "insufficient_user_authentication")
    assert "max_age=300" in answer.headers["WWW-Authenticate"]
    assert alice.accounts.events(alice.user_id) == ["registered"]


@pytest.mark.parametrize("code", ["12345", "1234567", "12345a", "", "-12345", "\u00b9" * 6])
def test_a_code_is_six_digits(alice: FactorOwner, code: str) -> None:
    alice.set_up_totp()
    assert alice.ask("POST", "/second-factor/totp/confirm", {"code": code}).status_code == 422


def test_the_secret_is_stored_sealed_for_its_owner_alone(alice: FactorOwner) -> None:
    accounts = alice.accounts
    alice.turn_on_totp()
    bob = FactorOwner(accounts, "bob@example.com")
    bob.turn_on_totp()
    [(stored,)] = accounts.query("SELECT sealed_secret FROM totp_secrets WHERE user_id = :id", id=alice.user_id)
    assert bytes(stored).startswith(b"d1:")
    assert alice.secret.encode() not in bytes(stored)
    accounts.query("UPDATE totp_secrets SET sealed_secret = :mine WHERE user_id = :his", mine=stored, his=bob.user_id)
    bob.secret = alice.secret
    assert bob.finish(bob.begin_sign_in(), totp_code=bob.code()).status_code == 401


def test_two_confirmations_at_once_turn_it_on_once(alice: FactorOwner) -> None:
    alice.set_up_totp()
    with ThreadPoolExecutor(8) as threads:
        body = {"code": alice.code()}
        answers = threads.map(lambda _: alice.ask("POST", "/second-factor/totp/confirm", body), range(8))
        statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] + [400] * 7
    assert alice.status()["recovery_codes_left"] == 10
