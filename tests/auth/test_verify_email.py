"""POST /api/auth/verify-email"""

from email.message import EmailMessage

import pytest

from auth.email_codes.one_time_codes import CODE_LIFETIME, CODE_TRIES, LINK_LIFETIMES, Purpose
from tests.auth.accounts_app import PASSWORD, Accounts
from tests.auth.conftest import MakeAccounts
from tests.auth.message_parts import another, code_in, html_of, link_in, text_of, token_in

ALICE = "alice@example.com"


def registered(accounts: Accounts, email: str = ALICE) -> EmailMessage:
    """The message that a new user gets."""
    assert accounts.post("/register", {"email": email, "password": PASSWORD}).status_code in {201, 202}
    (message,) = accounts.messages()
    return message


def is_verified(accounts: Accounts, email: str = ALICE) -> bool:
    ((verified,),) = accounts.query("SELECT is_verified FROM users WHERE email_key = :email", email=email)
    return bool(verified)


@pytest.mark.parametrize("mode", ["classic", "private"])
def test_registering_sends_an_email_whose_link_confirms_the_address(make_accounts: MakeAccounts, mode: str) -> None:
    accounts = make_accounts(registration_response=mode)
    message = registered(accounts)
    assert (message["To"], message["Subject"]) == (ALICE, "Confirm your e-mail address")
    assert link_in(message).startswith("https://api.example.com/account/verify-email#token=ot_")
    assert not is_verified(accounts)
    answer = accounts.post("/verify-email", {"token": token_in(message)})
    assert (answer.status_code, answer.data) == (204, b"")
    assert is_verified(accounts)
    assert accounts.events() == ["registered", "email_verified"]


def test_the_code_of_the_email_confirms_it_too_in_any_case_of_the_address(accounts: Accounts) -> None:
    message = registered(accounts)
    assert accounts.post("/verify-email", {"email": "ALICE@Example.com", "code": code_in(message)}).status_code == 204
    assert is_verified(accounts)


def test_a_link_works_once(accounts: Accounts) -> None:
    token = token_in(registered(accounts))
    assert accounts.post("/verify-email", {"token": token}).status_code == 204
    again = accounts.post("/verify-email", {"token": token})
    assert (again.status_code, again.get_json()["error"]) == (400, "token_invalid")


def test_used_expired_and_unknown_look_alike(accounts: Accounts) -> None:
    message = registered(accounts)
    accounts.clock.now += CODE_LIFETIME
    answers = [accounts.post("/verify-email", {"email": ALICE, "code": code_in(message)})]
    accounts.clock.now += LINK_LIFETIMES[Purpose.VERIFY_EMAIL]
    answers += [
        accounts.post("/verify-email", body)
        for body in (
            {"token": token_in(message)},
            {"token": "ot_nothing"},
            {"token": ""},
            {"email": "nobody@example.com", "code": "123456"},
        )
    ]
    assert {answer.status_code for answer in answers} == {400}
    changing = ("instance", "request_id")
    bodies = [{name: text for name, text in answer.get_json().items() if name not in changing} for answer in answers]
    assert all(body == bodies[0] for body in bodies)
    assert not is_verified(accounts)


def test_five_wrong_tries_void_the_code_of_that_account_alone(accounts: Accounts) -> None:
    of_alice, of_bob = registered(accounts), registered(accounts, "bob@example.com")
    for _ in range(CODE_TRIES):
        wrong = {"email": ALICE, "code": another(code_in(of_alice))}
        assert accounts.post("/verify-email", wrong).status_code == 400
    assert accounts.post("/verify-email", {"email": ALICE, "code": code_in(of_alice)}).status_code == 400
    assert accounts.post("/verify-email", {"email": "bob@example.com", "code": code_in(of_bob)}).status_code == 204
    assert accounts.events().count("one_time_code_refused") == CODE_TRIES + 1


def test_a_refused_code_of_nobody_is_written_down_like_anybodys(accounts: Accounts) -> None:
    accounts.post("/verify-email", {"email": "nobody@example.com", "code": "123456"})
    assert [tuple(row) for row in accounts.query("SELECT event, user_id, detail FROM security_events")] == [
        ("one_time_code_refused", None, {"purpose": "verify_email"})
    ]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"token": "ot_x", "code": "123456"},
        {"token": "ot_x", "email": ALICE, "code": "123456"},
        {"email": ALICE},
        {"code": "123456"},
        {"token": None},
        {"email": ALICE, "code": "12345"},
        {"email": ALICE, "code": "12345\n"},
        {"email": ALICE, "code": 123456},
        {"token": "x" * 68},
        {"token": "ot_x", "is_verified": True},
    ],
)
def test_one_of_the_two_forms_is_needed(accounts: Accounts, body: dict[str, object]) -> None:
    assert accounts.post("/verify-email", body).status_code == 422


def test_an_email_shows_a_hostile_address_as_text(accounts: Accounts) -> None:
    hostile = "{{7*7}}${7*7}%s&'*=x@example.com"
    message = registered(accounts, hostile)
    assert f"with the address {hostile}." in text_of(message)
    assert "{{7*7}}${7*7}%s&amp;&#39;*=x@example.com" in html_of(message)


def test_a_host_that_the_request_names_never_stands_in_an_email(accounts: Accounts) -> None:
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    accounts.post("/register", {"email": ALICE, "password": PASSWORD}, headers=headers)
    (message,) = accounts.messages()
    assert "evil" not in message.as_string()
    assert link_in(message).startswith("https://api.example.com/")
