"""What people type and paste is read as they mean it: addresses, codes and names, with whatever stands around them."""

import pytest

from tests.auth.accounts_app import PASSWORD, Accounts
from tests.auth.conftest import MakeAccounts
from tests.auth.factor_owner import FactorOwner
from tests.auth.key_holder import KeyHolder
from tests.auth.message_parts import code_in
from tests.auth.test_invites import invite, register

AROUND = [" {}", "{} ", "\u00a0{}\u00a0", "{}\n", "\r\n{}\t", "\ufeff{}\u200b"]


def test_an_address_is_what_stands_between_the_blanks(accounts: Accounts) -> None:
    for number, around in enumerate(AROUND):
        meant = f"alice{number}@example.com"
        typed = around.format(meant)
        answer = accounts.post("/register", {"email": typed, "password": PASSWORD})
        assert (answer.status_code, answer.get_json()["user"]["email"]) == (201, meant), typed
        (message,) = accounts.messages()
        assert accounts.sign_in(typed).status_code == 200
        assert accounts.post("/verify-email", {"email": typed, "code": code_in(message)}).status_code == 204
        for path in ("/resend-verification", "/forgot-password"):
            assert accounts.post(path, {"email": typed}).status_code == 202
        accounts.messages()


def test_a_blank_within_an_address_is_a_mistake(accounts: Accounts) -> None:
    answer = accounts.post("/register", {"email": "alice @example.com", "password": PASSWORD})
    assert answer.status_code == 422


def test_a_password_is_never_trimmed(accounts: Accounts) -> None:
    for number, around in enumerate(AROUND):
        email, typed = f"alice{number}@example.com", around.format(PASSWORD)
        accounts.register(email, password=typed)
        assert accounts.sign_in(email).status_code == 401
        assert accounts.sign_in(email, typed).status_code == 200


SIX_DIGITS = ["{0} {1}", "{0}\u00a0{1}", "{0}-{1}", "{0}\u2011{1}", "{0}{1}\n", "\t{0}{1} "]


def arabic_indic(code: str) -> str:
    return "".join(chr(0x0660 + int(digit)) for digit in code)


def as_typed(code: str) -> list[str]:
    return [*(form.format(code[:3], code[3:]) for form in SIX_DIGITS), arabic_indic(code)]


def test_the_digits_of_an_app_may_stand_in_groups(accounts: Accounts) -> None:
    alice = FactorOwner(accounts)
    alice.turn_on_totp()
    for number in range(len(SIX_DIGITS) + 1):
        typed = as_typed(alice.code())[number]
        assert alice.finish(alice.begin_sign_in(), totp_code=typed).status_code == 200, typed
        accounts.clock.advance(seconds=30)


def test_the_digits_of_an_email_may_stand_in_groups(accounts: Accounts) -> None:
    for number in range(len(SIX_DIGITS) + 1):
        email = f"alice{number}@example.com"
        accounts.post("/register", {"email": email, "password": PASSWORD})
        (message,) = accounts.messages()
        typed = as_typed(code_in(message))[number]
        assert accounts.post("/verify-email", {"email": email, "code": typed}).status_code == 204, typed


def test_what_is_not_six_digits_is_no_try(accounts: Accounts) -> None:
    alice = FactorOwner(accounts)
    alice.turn_on_totp()
    challenge = alice.begin_sign_in()
    for typed in ("12345", "1234567", "12345a", "", "\u00b2\u00b212345", "123.456"):
        assert alice.finish(challenge, totp_code=typed).status_code == 422, typed
    assert alice.finish(challenge, totp_code=alice.code()).status_code == 200


GROUPED = [
    "{0}-{1}\n",
    "{0}\t{1}",
    "{0}\u2013{1}",
    "{0}\u2011{1}",
    "{0}\u00a0{1}",
    "\ufeff{0}\u2212{1}",
    "{0}\u00ad{1}",
]


def test_a_recovery_code_may_be_pasted(accounts: Accounts) -> None:
    alice = FactorOwner(accounts)
    alice.turn_on_totp()
    for form, code in zip(GROUPED, alice.recovery_codes, strict=False):
        typed = form.format(*code.split("-"))
        assert alice.finish(alice.begin_sign_in(), recovery_code=typed).status_code == 200, typed
    assert accounts.query("SELECT count(*) FROM wrong_second_factors") == [(0,)]


def test_an_invite_code_may_be_pasted(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(registration_mode="invite")
    for number, form in enumerate(GROUPED):
        typed = form.format(*invite(accounts).split("-"))
        assert register(accounts, typed, f"alice{number}@example.com").status_code == 201, typed


def test_letters_of_other_scripts_are_no_invite_code(make_accounts: MakeAccounts) -> None:
    """Their upper case would be one of ours."""
    accounts = make_accounts(registration_mode="invite")
    invite(accounts)
    accounts.query("UPDATE invites SET code_hash = :known", known=accounts.auth.invite_codes.hash_of("SSSSS-11111"))
    for typed in ("\u017f" * 5 + "11111", "SSSSS" + "\u0131" * 5, "\uff33" * 5 + "11111"):
        assert register(accounts, typed).status_code == 400
    assert register(accounts, "sssss iIlL1").status_code == 201


def test_names_are_what_can_be_seen(accounts: Accounts) -> None:
    alice = FactorOwner(accounts)
    for around in AROUND:
        shown = alice.ask("PATCH", "/profile", {"display_name": around.format("Alice")})
        assert shown.get_json()["display_name"] == "Alice"
        assert accounts.sign_in(device_name=around.format("phone")).status_code == 200
    names = {each["device_name"] for each in alice.ask("GET", "/sessions").get_json()["sessions"]}
    assert names == {None, "phone"}
    for around in AROUND:
        alice.add_passkey(around.format("key"))
    assert {each["name"] for each in alice.ask("GET", "/passkeys").get_json()["passkeys"]} == {"key"}


def test_the_name_of_an_api_key_is_what_can_be_seen(accounts: Accounts) -> None:
    alice = KeyHolder(accounts)
    assert {alice.key(name=around.format("nightly report"))["name"] for around in AROUND} == {"nightly report"}


@pytest.mark.parametrize("name", ["x" * 100, "\U0001f469\u200d\U0001f467 \u06a9\u062a\u0627\u0628\u200c\u0647\u0627"])
def test_every_name_that_people_give_may_be_as_long_and_in_any_script(accounts: Accounts, name: str) -> None:
    assert statuses_of_a_name(accounts, name) == [200, 200, 200, 201]


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\nb", "a\x07b", "a\u202eb", "a\u2066b", "a\u200bb", "a\ufeffb"])
def test_no_name_that_people_give_changes_how_others_are_read(accounts: Accounts, name: str) -> None:
    assert statuses_of_a_name(accounts, name) == [422, 422, 422, 422]


def statuses_of_a_name(accounts: Accounts, name: str) -> list[int]:
    """A device, a person, a passkey and an API key of that name."""
    alice = FactorOwner(accounts)
    device = accounts.sign_in(device_name=name)
    alice.add_passkey()
    [passkey] = alice.ask("GET", "/passkeys").get_json()["passkeys"]
    answers = [
        device,
        alice.ask("PATCH", "/profile", {"display_name": name}),
        alice.ask("PATCH", f"/passkeys/{passkey['id']}", {"name": name}),
        alice.ask("POST", "/tokens", {"name": name, "scopes": ["usage"]}),
    ]
    return [answer.status_code for answer in answers]
