"""POST /api/auth/resend-verification"""

from limits import RateLimitItemPerHour, RateLimitItemPerMinute

from auth.rate_limits.by_address import AuthLimits
from tests.auth.accounts_app import GENEROUS, Accounts, bearer
from tests.auth.conftest import MakeAccounts
from tests.auth.message_parts import token_in

ALICE = {"email": "alice@example.com"}


def test_a_new_email_voids_the_one_before(accounts: Accounts) -> None:
    accounts.post("/register", {**ALICE, "password": "tulip harbour 8143 lamp"})
    (first,) = accounts.messages()
    assert accounts.post("/resend-verification", ALICE).status_code == 202
    (second,) = accounts.messages()
    assert accounts.post("/verify-email", {"token": token_in(first)}).status_code == 400
    assert accounts.post("/verify-email", {"token": token_in(second)}).status_code == 204


def test_nobody_and_the_confirmed_get_no_email(accounts: Accounts) -> None:
    accounts.register()
    accounts.query("UPDATE users SET is_verified = true")
    assert accounts.post("/resend-verification", ALICE).status_code == 202
    assert accounts.post("/resend-verification", {"email": "nobody@example.com"}).status_code == 202
    assert accounts.messages() == []


def test_who_is_signed_in_need_not_say_the_address(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    assert accounts.client.post("/api/auth/resend-verification", headers=bearer(token)).status_code == 202
    (message,) = accounts.messages()
    assert message["To"] == "alice@example.com"
    assert accounts.post("/verify-email", {"token": token_in(message)}).status_code == 204


def test_nobody_gets_an_email_without_a_body_and_without_a_token(accounts: Accounts) -> None:
    answers = [accounts.client.post("/api/auth/resend-verification", headers=each) for each in ({}, bearer("x"))]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert accounts.post("/resend-verification", {}).status_code == 422
    assert accounts.query("SELECT count(*) FROM procrastinate_jobs") == [(0,)]


def test_an_address_that_is_no_address_is_refused_and_nothing_is_sent(accounts: Accounts) -> None:
    hostile = (
        "alice@example.com\r\nBcc: bob@example.com",
        "alice@example.com\nX: y",
        '"alice"@example.com',
        "alice@[192.0.2.1]",
        "a" * 300 + "@example.com",
        "alice@example.com, bob@example.com",
    )
    for path in ("/resend-verification", "/forgot-password"):
        for email in hostile:
            assert accounts.post(path, {"email": email}).status_code == 422
        assert accounts.post(path, {"email": "alice\x00@example.com"}).status_code == 400
    assert accounts.query("SELECT count(*) FROM procrastinate_jobs") == [(0,)]


def test_one_email_a_minute_is_sent_to_an_address_and_the_answer_stays_the_same(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(limits=AuthLimits(emails=GENEROUS.emails, register=GENEROUS.register))
    accounts.register("alice@example.com")
    accounts.register("bob@example.com")
    # The messages of the registrations were the first of their kind; those of another kind are counted apart.
    answers = [accounts.post("/resend-verification", ALICE) for _ in range(3)]
    answers += [accounts.post("/forgot-password", ALICE) for _ in range(3)]
    answers += [accounts.post("/forgot-password", {"email": "BOB@example.com"}) for _ in range(3)]
    assert {(answer.status_code, answer.data) for answer in answers} == {(202, b'{"status":"check_email"}')}
    messages = accounts.messages()
    assert [(message["To"], message["Subject"]) for message in messages] == [
        ("alice@example.com", "Set a new password"),
        ("bob@example.com", "Set a new password"),
    ]


def test_more_limits_hold_together(make_accounts: MakeAccounts) -> None:
    both = (RateLimitItemPerMinute(4), RateLimitItemPerHour(2))
    accounts = make_accounts(limits=AuthLimits(emails=GENEROUS.emails, emails_to_one_mailbox=both))
    for _ in range(6):
        accounts.post("/forgot-password", ALICE)
    assert accounts.query("SELECT count(*) FROM procrastinate_jobs") == [(2,)]


def test_without_redis_the_limit_of_emails_holds_in_this_process(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(redis_at=None, limits=AuthLimits(emails=GENEROUS.emails))
    for _ in range(3):
        assert accounts.post("/forgot-password", ALICE).status_code == 202
    assert accounts.query("SELECT count(*) FROM procrastinate_jobs") == [(1,)]


def test_one_network_can_have_ten_emails_sent_in_an_hour(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(limits=AuthLimits())
    people = [f"alice{number}@example.com" for number in range(12)]
    statuses = [accounts.post("/forgot-password", {"email": email}).status_code for email in people[:10]]
    refused = accounts.post("/resend-verification", {"email": people[10]})
    assert statuses == [202] * 10
    assert (refused.status_code, refused.get_json()["error"]) == (429, "too_many_requests")
    elsewhere = {"environ_overrides": {"REMOTE_ADDR": "192.0.2.7"}}
    assert accounts.post("/forgot-password", {"email": people[11]}, **elsewhere).status_code == 202
    assert accounts.query("SELECT count(*) FROM procrastinate_jobs") == [(11,)]


def test_redis_learns_no_address(accounts: Accounts) -> None:
    accounts.post("/forgot-password", ALICE)
    keys = accounts.redis_client.keys("*emails*")
    assert keys
    assert not [key for key in keys if b"alice" in key]
