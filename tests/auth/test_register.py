"""POST /api/auth/register"""

import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from auth.rate_limits.by_mailbox import EMAILS_TO_ONE_MAILBOX
from tests.auth.accounts_app import GENEROUS, PASSWORD, Accounts
from tests.auth.conftest import MakeAccounts


def test_a_new_user_is_told_who_they_are_and_gets_tokens(accounts: Accounts) -> None:
    answer = accounts.post("/register", {"email": "Alice@Example.com", "password": PASSWORD})
    assert answer.status_code == 201
    body = answer.get_json()
    assert set(body) == {"user", "access_token", "refresh_token", "token_type", "expires_in", "device_token"}
    assert body["user"].keys() == accounts.profile(body["access_token"]).get_json().keys() - {"impersonated_by"}
    assert body["user"]["email"] == "Alice@example.com"
    assert body["user"]["tier"] == "free"
    assert body["user"]["is_verified"] is False
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 900
    assert accounts.profile(body["access_token"]).get_json() == {**body["user"], "impersonated_by": False}


def test_the_password_is_stored_as_a_keyed_hash(accounts: Accounts) -> None:
    accounts.register()
    [(stored,)] = accounts.query("SELECT password_hash FROM users")
    assert stored.startswith("mo2$0$$2b$04$")


def test_a_taken_address_is_a_conflict_in_any_case(accounts: Accounts) -> None:
    accounts.register("alice@example.com")
    answer = accounts.post("/register", {"email": "ALICE@EXAMPLE.COM", "password": PASSWORD})
    assert answer.status_code == 409
    assert answer.get_json()["error"] == "email_taken"
    assert accounts.query("SELECT count(*) FROM users") == [(1,)]


def test_a_username_is_kept_in_lower_case(accounts: Accounts) -> None:
    for number, (username, kept) in enumerate([(" Bonsai.Fan\u200b", "bonsai.fan"), (None, None)]):
        body = {"email": f"user{number}@example.com", "password": PASSWORD, "username": username}
        answer = accounts.post("/register", body)
        assert (answer.status_code, answer.get_json()["user"]["username"]) == (201, kept)


def test_a_taken_username_is_a_conflict_in_any_case(accounts: Accounts) -> None:
    alice = {"email": "alice@example.com", "password": PASSWORD, "username": "alice"}
    assert accounts.post("/register", alice).status_code == 201
    for email, error in (("bob@example.com", "username_taken"), ("Alice@example.com", "email_taken")):
        answer = accounts.post("/register", {**alice, "email": email, "username": "ALICE"})
        assert (answer.status_code, answer.get_json()["error"]) == (409, error)
    assert accounts.query("SELECT count(*) FROM users") == [(1,)]


def test_a_private_registration_with_a_taken_username_tells_nothing_and_makes_the_account(
    make_accounts: MakeAccounts,
) -> None:
    accounts = make_accounts(registration_response="private")
    answers = [
        accounts.post("/register", {"email": email, "password": PASSWORD, "username": "alice"})
        for email in ("alice@example.com", "bob@example.com", "bob@example.com")
    ]
    assert {(each.status_code, each.data, frozenset(each.headers.keys())) for each in answers} == {
        (202, b'{"status":"check_email"}', frozenset(answers[0].headers.keys()))
    }
    assert accounts.query("SELECT email, username FROM users ORDER BY email") == [
        ("alice@example.com", "alice"),
        ("bob@example.com", None),
    ]
    assert [(message["To"], message["Subject"]) for message in accounts.messages()] == [
        ("alice@example.com", "Confirm your e-mail address"),
        ("bob@example.com", "Confirm your e-mail address"),
        ("bob@example.com", "This e-mail address is already in use"),
    ]


def test_a_private_registration_of_a_taken_address_takes_no_username(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(registration_response="private")
    for username in ("alice", "bob"):
        accounts.post("/register", {"email": "alice@example.com", "password": PASSWORD, "username": username})
    assert accounts.query("SELECT username FROM users") == [("alice",)]


def test_of_many_who_want_one_username_at_once_one_gets_it(accounts: Accounts) -> None:
    def attempt(number: int) -> int:
        body = {"email": f"user{number}@example.com", "password": PASSWORD, "username": "alice"}
        while (status := accounts.post("/register", body).status_code) == 503:
            pass
        return status

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(attempt, range(8))) == [201] + [409] * 7
    assert accounts.query("SELECT username FROM users") == [("alice",)]


def test_twenty_registrations_of_one_address_at_once_make_one_account(accounts: Accounts) -> None:
    spellings = ["A@example.com", "a@example.com"] * 10

    def attempt(email: str) -> int:
        """Again when too many passwords are being hashed, as on a machine that has much else to do."""
        while (status := accounts.post("/register", {"email": email, "password": PASSWORD}).status_code) == 503:
            pass
        return status

    with ThreadPoolExecutor(20) as threads:
        statuses = list(threads.map(attempt, spellings))
    assert sorted(statuses) == [201] + [409] * 19
    assert accounts.query("SELECT count(*) FROM users") == [(1,)]


def test_a_field_that_is_not_the_clients_to_set_is_refused(accounts: Accounts) -> None:
    names = ("tier", "role", "is_admin", "is_verified", "id", "stripe_customer_id")
    body = {"email": "mallory@example.com", "password": PASSWORD, **dict.fromkeys(names, "enterprise")}
    answer = accounts.post("/register", body)
    assert answer.status_code == 422
    assert sorted(error["pointer"] for error in answer.get_json()["errors"]) == sorted(f"/{name}" for name in names)
    assert accounts.query("SELECT count(*) FROM users") == [(0,)]


def test_an_address_that_nobody_could_write_to_is_refused(accounts: Accounts) -> None:
    for email in ("alice", "alice@example.com\r\nBcc: bob@example.com", "alice\uff20example.com", "a" * 300):
        answer = accounts.post("/register", {"email": email, "password": PASSWORD})
        assert answer.status_code == 422
        assert answer.get_json()["errors"][0]["pointer"] == "/email"
    assert accounts.query("SELECT count(*) FROM users") == [(0,)]


def test_the_kelvin_sign_is_no_letter_of_an_address(accounts: Accounts) -> None:
    """Other programs read a K in it."""
    accounts.register("kate@example.com")
    assert accounts.post("/register", {"email": "\u212aate@example.com", "password": PASSWORD}).status_code == 422


def test_a_password_that_is_easy_to_guess_is_refused(accounts: Accounts) -> None:
    refused = {
        "short-1x": "password_too_weak",
        "qwertyuiop": "password_breached",
        "\U0001f98a" * 257: "string_too_long",
    }
    for password, code in refused.items():
        answer = accounts.post("/register", {"email": "alice@example.com", "password": password})
        assert answer.status_code == 422
        [error] = answer.get_json()["errors"]
        assert (error["pointer"], error["code"]) == ("/password", code)
    assert accounts.query("SELECT count(*) FROM users") == [(0,)]


def test_a_long_password_works_to_its_last_character(accounts: Accounts) -> None:
    password = "x" + secrets.token_urlsafe(54)
    assert len(password) == 73
    accounts.register(password=password)
    assert accounts.sign_in(password=password).status_code == 200
    assert accounts.sign_in(password=password[:-1]).status_code == 401


def test_an_accent_typed_on_two_systems_is_one_password(accounts: Accounts) -> None:
    password = f"caf\u00e9 {secrets.token_hex(8)}"
    accounts.register(password=unicodedata.normalize("NFC", password))
    assert accounts.sign_in(password=unicodedata.normalize("NFD", password)).status_code == 200


def test_a_password_beyond_the_body_limit_is_refused_unread(accounts: Accounts) -> None:
    assert accounts.post("/register", {"email": "alice@example.com", "password": "x" * 2**20}).status_code == 413


def test_private_registration_answers_alike_for_a_free_and_a_taken_address(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(registration_response="private")
    body = {"email": "alice@example.com", "password": PASSWORD}
    first, second = accounts.post("/register", body), accounts.post("/register", body)
    assert first.status_code == second.status_code == 202
    assert first.data == second.data == b'{"status":"check_email"}'
    ignored = {"X-Request-ID"}
    assert [each for each in first.headers if each[0] not in ignored] == [
        each for each in second.headers if each[0] not in ignored
    ]
    assert accounts.query("SELECT count(*), (SELECT count(*) FROM sessions) FROM users") == [(1, 0)]
    assert accounts.sign_in().status_code == 200


def test_a_private_registration_of_a_taken_address_leaves_the_password_alone(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(registration_response="private")
    accounts.post("/register", {"email": "alice@example.com", "password": PASSWORD})
    other = f"other {secrets.token_hex(8)}"
    accounts.post("/register", {"email": "alice@example.com", "password": other})
    assert accounts.sign_in(password=other).status_code == 401
    assert accounts.sign_in().status_code == 200


def test_the_owner_of_a_taken_address_is_told_by_mail_where_the_caller_is_not(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(registration_response="private")
    accounts.post("/register", {"email": "alice@example.com", "password": PASSWORD})
    accounts.post("/register", {"email": "ALICE@example.com", "password": PASSWORD})
    messages = [(message["To"], message["Subject"]) for message in accounts.messages()]
    assert messages == [
        ("alice@example.com", "Confirm your e-mail address"),
        ("alice@example.com", "This e-mail address is already in use"),
    ]


def test_a_flood_of_registrations_does_not_bury_an_address_in_emails(make_accounts: MakeAccounts) -> None:
    limits = replace(GENEROUS, emails_to_one_mailbox=EMAILS_TO_ONE_MAILBOX)
    accounts = make_accounts(registration_response="private", limits=limits)
    body = {"email": "alice@example.com", "password": PASSWORD}
    assert [accounts.post("/register", body).status_code for _ in range(4)] == [202] * 4
    assert [message["Subject"] for message in accounts.messages()] == ["Confirm your e-mail address"]


def test_messages_asked_for_before_the_account_existed_do_not_take_its_first_one(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(limits=replace(GENEROUS, emails_to_one_mailbox=EMAILS_TO_ONE_MAILBOX))
    accounts.post("/resend-verification", {"email": "alice@example.com"})
    accounts.post("/register", {"email": "alice@example.com", "password": PASSWORD})
    assert [message["Subject"] for message in accounts.messages()] == ["Confirm your e-mail address"]
