"""The audit log: events are written with what they belong to, and never changed."""

from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from tests.auth.accounts_app import PASSWORD, Accounts


def test_what_happens_to_an_account_is_written_down(accounts: Accounts) -> None:
    user_id = accounts.register()["user"]["id"]
    accounts.sign_in()
    accounts.sign_in(password=f"not {PASSWORD}")
    assert accounts.events(user_id) == ["registered", "signed_in", "sign_in_failed"]


def test_an_event_says_when_from_where_and_in_which_request(accounts: Accounts) -> None:
    accounts.register()
    credentials = {"email": "alice@example.com", "password": PASSWORD}
    headers = {"X-Request-ID": "request-of-alice", "User-Agent": "phone\x1b[31m"}
    accounts.post("/login", credentials, headers=headers)
    columns = "occurred_at, ip, user_agent, request_id, detail"
    (row,) = accounts.query(f"SELECT {columns} FROM security_events WHERE event = 'signed_in'")
    assert tuple(row) == (accounts.clock(), "127.0.0.1", "phone?[31m", "request-of-alice", {"method": "password"})


def test_a_failed_sign_in_to_no_account_leaves_a_row_too(accounts: Accounts) -> None:
    accounts.sign_in("nobody@example.com")
    assert accounts.query("SELECT event, user_id FROM security_events") == [("sign_in_failed", None)]


def test_rows_are_never_changed(accounts: Accounts) -> None:
    accounts.register()
    with pytest.raises(IntegrityError, match="rows of security_events are never changed"):
        accounts.query("UPDATE security_events SET event = 'nothing_happened'")


def test_the_owner_is_told_of_many_wrong_passwords_once(accounts: Accounts) -> None:
    accounts.register()
    for _ in range(12):
        accounts.sign_in(password=f"not {PASSWORD}")
    (message,) = accounts.messages()
    assert message["To"] == "alice@example.com"
    assert message["Subject"] == "Someone is guessing your password"


def test_the_owner_is_told_of_a_reused_refresh_token(accounts: Accounts) -> None:
    stolen = accounts.register()["refresh_token"]
    accounts.refresh(stolen)
    accounts.clock.advance(minutes=5)
    accounts.refresh(stolen)
    assert "refresh_token_reused" in accounts.events()
    assert [message["Subject"] for message in accounts.messages()] == ["We ended a session to protect your account"]


def test_an_ordinary_sign_in_is_no_warning(accounts: Accounts, security_events: list[Any]) -> None:
    accounts.register()
    accounts.sign_in()
    accounts.sign_in(password=f"not {PASSWORD}")
    told = [
        (each["event"], each["log_level"], each["ip"]) for each in security_events if each.get("kind") == "security"
    ]
    assert told == [
        ("registered", "info", "127.0.0.1"),
        ("signed_in", "info", "127.0.0.1"),
        ("sign_in_failed", "warning", "127.0.0.1"),
    ]
