"""PUT /api/auth/profile"""

from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.auth.accounts_app import Accounts, bearer


def replace(accounts: Accounts, token: str, body: Any) -> TestResponse:
    return accounts.client.put("/api/auth/profile", json=body, headers=bearer(token))


def names(answer: TestResponse) -> tuple[int, str | None, str | None]:
    body = answer.get_json()
    return answer.status_code, body["display_name"], body["username"]


def test_what_is_left_out_is_removed(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    assert names(replace(accounts, token, {"display_name": "Alice", "username": "Alice"})) == (200, "Alice", "alice")
    assert names(replace(accounts, token, {"display_name": "Alice"})) == (200, "Alice", None)
    assert names(replace(accounts, token, {"username": "alice"})) == (200, None, "alice")
    assert names(replace(accounts, token, {})) == (200, None, None)
    assert names(accounts.profile(token)) == (200, None, None)


def test_a_taken_username_is_a_conflict_and_changes_nothing(accounts: Accounts) -> None:
    alice, bob = accounts.register(), accounts.register("bob@example.com")
    replace(accounts, alice["access_token"], {"username": "alice"})
    replace(accounts, bob["access_token"], {"display_name": "Bob", "username": "bob"})
    answer = replace(accounts, bob["access_token"], {"username": "ALICE"})
    assert (answer.status_code, answer.get_json()["error"]) == (409, "username_taken")
    assert names(accounts.profile(bob["access_token"])) == (200, "Bob", "bob")


@pytest.mark.parametrize("field", ["email", "role", "is_admin", "is_active", "tier", "updated_at", "password_hash"])
def test_nothing_else_can_be_replaced(accounts: Accounts, field: str) -> None:
    token = accounts.register()["access_token"]
    before = accounts.query("SELECT * FROM users")
    assert replace(accounts, token, {"username": "mallory", field: True}).status_code == 422
    assert accounts.query("SELECT * FROM users") == before


def test_nobody_is_asked_to_sign_in(accounts: Accounts) -> None:
    assert accounts.client.put("/api/auth/profile", json={}).status_code == 401
