"""POST /api/auth/forgot-password and /api/auth/reset-password"""

import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from limits import RateLimitItemPerHour

from auth.email_codes.one_time_codes import CODE_LIFETIME, CODE_TRIES, LINK_LIFETIMES, Purpose
from auth.lock_out.lock_out import DISTRUSTED
from auth.rate_limits.by_address import AuthLimits
from tests.auth.accounts_app import GENEROUS, PASSWORD, Accounts, bearer
from tests.auth.conftest import MakeAccounts
from tests.auth.factor_owner import FactorOwner
from tests.auth.message_parts import another, code_in, link_in, token_in

ALICE = "alice@example.com"
NEW_PASSWORD = f"harbour {secrets.token_hex(8)}"
IMPATIENT = (RateLimitItemPerHour(2),)


def forgot(accounts: Accounts, email: str = ALICE) -> tuple[str, str]:
    """The token and the code of the message that comes."""
    assert accounts.post("/forgot-password", {"email": email}).status_code == 202
    (message,) = accounts.messages()
    assert (message["To"], message["Subject"]) == (email, "Set a new password")
    assert link_in(message).startswith("https://api.example.com/account/reset-password#token=ot_")
    return token_in(message), code_in(message)


def by_link(accounts: Accounts, token: str, password: str = NEW_PASSWORD) -> int:
    return accounts.post("/reset-password", {"token": token, "new_password": password}).status_code


def by_code(accounts: Accounts, code: str, password: str = NEW_PASSWORD, email: str = ALICE) -> int:
    return accounts.post("/reset-password", {"email": email, "code": code, "new_password": password}).status_code


def test_the_link_sets_a_new_password_and_the_old_one_is_gone(accounts: Accounts) -> None:
    accounts.register()
    token, _ = forgot(accounts)
    assert accounts.sign_in().status_code == 200
    assert by_link(accounts, token) == 204
    assert accounts.sign_in().status_code == 401
    assert accounts.sign_in(password=NEW_PASSWORD).status_code == 200


def test_the_code_does_the_same(accounts: Accounts) -> None:
    accounts.register()
    _, code = forgot(accounts)
    assert by_code(accounts, code, email="Alice@EXAMPLE.com") == 204
    assert accounts.sign_in(password=NEW_PASSWORD).status_code == 200


def test_every_session_ends_at_once(accounts: Accounts) -> None:
    first = accounts.register()
    second = accounts.sign_in().get_json()
    token, _ = forgot(accounts)
    assert by_link(accounts, token) == 204
    for tokens in (first, second):
        assert accounts.profile(tokens["access_token"]).status_code == 401
        assert accounts.refresh(tokens["refresh_token"]).status_code == 401


def test_the_email_proved_the_address(accounts: Accounts) -> None:
    accounts.register()
    token, _ = forgot(accounts)
    by_link(accounts, token)
    assert accounts.query("SELECT is_verified FROM users") == [(True,)]


def test_the_owner_is_told_and_it_is_written_down(accounts: Accounts) -> None:
    user_id = accounts.register()["user"]["id"]
    by_link(accounts, forgot(accounts)[0])
    assert [message["Subject"] for message in accounts.messages()] == ["Your password was reset"]
    assert accounts.events(user_id) == ["registered", "password_reset_requested", "password_reset"]


def test_the_request_for_an_email_is_named_in_the_record(accounts: Accounts) -> None:
    accounts.register()
    accounts.post("/forgot-password", {"email": ALICE}, headers={"X-Request-ID": "request-of-mallory"})
    accounts.messages()
    query = "SELECT detail FROM security_events WHERE event = 'password_reset_requested'"
    assert accounts.query(query) == [({"by_request": "request-of-mallory"},)]


def test_a_token_works_once_also_when_ten_use_it_at_once(accounts: Accounts) -> None:
    accounts.register()
    token, code = forgot(accounts)
    with ThreadPoolExecutor(10) as threads:
        statuses = list(
            threads.map(lambda number: by_link(accounts, token) if number % 2 else by_code(accounts, code), range(10))
        )
    assert sorted(statuses) == [204] + [400] * 9


def test_a_newer_email_voids_an_older_one(accounts: Accounts) -> None:
    accounts.register()
    (old, old_code), (new, _) = forgot(accounts), forgot(accounts)
    assert by_link(accounts, old) == by_code(accounts, old_code) == 400
    assert by_link(accounts, new) == 204


def test_the_code_of_another_person_and_of_another_purpose_is_refused(accounts: Accounts) -> None:
    accounts.register()
    accounts.register("bob@example.com")
    _, code_of_bob = forgot(accounts, "bob@example.com")
    token, code = forgot(accounts)
    accounts.post("/resend-verification", {"email": ALICE})
    (message,) = accounts.messages()
    for wrong in {code_of_bob, code_in(message)} - {code}:
        assert by_code(accounts, wrong) == 400
    assert by_link(accounts, token_in(message)) == 400
    assert accounts.post("/verify-email", {"token": token}).status_code == 400
    assert by_code(accounts, code) == 204


def test_after_five_wrong_codes_the_right_one_is_refused(accounts: Accounts) -> None:
    accounts.register()
    _, code = forgot(accounts)
    assert [by_code(accounts, another(code)) for _ in range(CODE_TRIES)] == [400] * CODE_TRIES
    assert by_code(accounts, code) == 400
    assert accounts.sign_in().status_code == 200


def test_a_hundred_tries_at_once_are_no_more_than_five(accounts: Accounts) -> None:
    accounts.register()
    _, code = forgot(accounts)
    with ThreadPoolExecutor(10) as threads:
        statuses = set(threads.map(lambda _: by_code(accounts, another(code)), range(100)))
    assert statuses == {400}
    assert accounts.query("SELECT tries FROM one_time_codes WHERE purpose = 'reset_password'") == [(CODE_TRIES,)]
    assert by_code(accounts, code) == 400


def test_each_form_runs_out(accounts: Accounts) -> None:
    accounts.register()
    token, code = forgot(accounts)
    accounts.clock.now += CODE_LIFETIME
    assert by_code(accounts, code) == 400
    accounts.clock.now += LINK_LIFETIMES[Purpose.RESET_PASSWORD] - CODE_LIFETIME
    assert by_link(accounts, token) == 400


def test_a_password_that_is_refused_spends_nothing(accounts: Accounts) -> None:
    accounts.register()
    token, code = forgot(accounts)
    for proof in ({"token": token}, {"email": ALICE, "code": code}):
        answer = accounts.post("/reset-password", {**proof, "new_password": "alicealice"})
        assert answer.status_code == 422
        assert answer.get_json()["errors"][0]["pointer"] == "/new_password"
    assert by_link(accounts, token) == 204


def test_wrong_passwords_are_forgotten(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(limits=replace(GENEROUS, strangers=IMPATIENT, known_devices=IMPATIENT))
    device = accounts.register()["device_token"]
    for token in (None, device):
        for _ in range(3):
            accounts.sign_in(password="wrong wrong wrong", device_token=token)
        assert accounts.sign_in(device_token=token).status_code == 429
    by_link(accounts, forgot(accounts)[0])
    for token in (None, device):
        assert accounts.sign_in(password=NEW_PASSWORD, device_token=token).status_code == 200


def test_an_account_that_is_switched_off_gets_no_email(accounts: Accounts) -> None:
    accounts.register()
    accounts.query("UPDATE users SET is_active = false")
    accounts.post("/forgot-password", {"email": ALICE})
    assert accounts.messages() == []


def test_a_flood_of_guesses_from_one_network_is_stopped(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(limits=AuthLimits())
    statuses = [accounts.post("/reset-password", {}).status_code for _ in range(31)]
    assert statuses == [422] * 30 + [429]


@pytest.mark.parametrize("path", ["/forgot-password", "/resend-verification"])
def test_known_and_unknown_addresses_are_answered_with_the_same_bytes(accounts: Accounts, path: str) -> None:
    accounts.register()
    known, unknown = (accounts.post(path, {"email": email}) for email in (ALICE, "nobody@example.com"))
    assert known.status_code == unknown.status_code == 202
    assert known.data == unknown.data
    assert [each for each in known.headers if each[0] != "X-Request-ID"] == [
        each for each in unknown.headers if each[0] != "X-Request-ID"
    ]
    # Neither has been looked up yet: that is what the job is for.
    assert accounts.query("SELECT count(*), count(DISTINCT task_name) FROM procrastinate_jobs") == [(2, 1)]


def test_an_email_about_a_reset_never_names_a_foreign_host(accounts: Accounts) -> None:
    accounts.register()
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    accounts.post("/forgot-password", {"email": ALICE}, headers=headers)
    (message,) = accounts.messages()
    assert "evil" not in message.as_string()


def test_the_password_of_the_registration_is_still_good_when_nobody_answers_the_email(accounts: Accounts) -> None:
    accounts.register()
    forgot(accounts)
    assert accounts.sign_in(password=PASSWORD).status_code == 200


def test_a_second_factor_of_a_confirmed_account_is_still_asked_for(accounts: Accounts) -> None:
    """Row 49 of the attacks: whoever reads the mail still needs the phone."""
    alice = FactorOwner(accounts)
    alice.turn_on_totp()
    accounts.query("UPDATE users SET is_verified = true")
    accounts.clock.now += DISTRUSTED
    accounts.messages()
    token, _ = forgot(accounts)
    assert by_link(accounts, token) == 204
    answer = accounts.sign_in(password=NEW_PASSWORD)
    assert (answer.status_code, answer.get_json()["error"]) == (401, "mfa_required")


def test_what_a_stranger_left_in_an_account_that_was_never_confirmed_is_gone(accounts: Accounts) -> None:
    mallory = FactorOwner(accounts)  # registered with the address of alice, who comes by the message
    passkey = mallory.add_passkey()
    made = accounts.post("/tokens", {"name": "x", "scopes": ["predict"]}, headers=bearer(mallory.access_token))
    assert made.status_code == 201
    accounts.messages()
    token, _ = forgot(accounts)
    assert by_link(accounts, token) == 204
    assert accounts.sign_in(password=NEW_PASSWORD).status_code == 200
    options = accounts.post("/passkeys/sign-in/options").get_json()["options"]
    assert accounts.post("/passkeys/sign-in", {"credential": passkey.get(options)}).status_code == 401
    assert accounts.query("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL") == [(0,)]
