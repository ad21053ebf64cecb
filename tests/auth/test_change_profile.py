"""PATCH /api/auth/profile"""

from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.auth.accounts_app import Accounts, bearer


def change(accounts: Accounts, token: str, body: Any) -> TestResponse:
    return accounts.client.patch("/api/auth/profile", json=body, headers=bearer(token))


def test_a_user_gives_a_name_and_takes_it_away(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    answer = change(accounts, token, {"display_name": "Alice"})
    assert (answer.status_code, answer.get_json()["display_name"]) == (200, "Alice")
    assert accounts.profile(token).get_json()["display_name"] == "Alice"
    assert change(accounts, token, {}).get_json()["display_name"] == "Alice"
    assert change(accounts, token, {"display_name": None}).get_json()["display_name"] is None


def test_a_username_changes_by_itself(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    change(accounts, token, {"display_name": "Alice"})
    accounts.clock.advance(minutes=1)
    answer = change(accounts, token, {"username": "Alice-1"}).get_json()
    assert (answer["username"], answer["display_name"]) == ("alice-1", "Alice")
    assert answer["updated_at"] > answer["created_at"]
    assert accounts.profile(token).get_json()["username"] == "alice-1"
    assert change(accounts, token, {"username": "ALICE-1"}).status_code == 200
    assert change(accounts, token, {"username": None}).get_json()["username"] is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ab",
        "a" * 33,
        ".alice",
        "-alice",
        "_alice",
        "al ice",
        "alice@example.com",
        "al\nice",
        "\u212aate",
        "älice",
        "<b>alice",
        7,
        ["alice"],
    ],
)
def test_a_username_that_others_could_mistake_or_nobody_could_type_is_refused(accounts: Accounts, name: Any) -> None:
    token = accounts.register()["access_token"]
    answer = change(accounts, token, {"username": name})
    assert (answer.status_code, answer.get_json()["errors"][0]["pointer"]) == (422, "/username")


def test_a_username_of_another_account_is_a_conflict_and_changes_nothing(accounts: Accounts) -> None:
    alice, bob = accounts.register(), accounts.register("bob@example.com")
    change(accounts, alice["access_token"], {"username": "alice"})
    answer = change(accounts, bob["access_token"], {"username": "Alice", "display_name": "Bob"})
    assert (answer.status_code, answer.get_json()["error"]) == (409, "username_taken")
    assert accounts.profile(bob["access_token"]).get_json()["display_name"] is None
    change(accounts, alice["access_token"], {"username": None})
    assert change(accounts, bob["access_token"], {"username": "Alice"}).status_code == 200


@pytest.mark.parametrize(
    "field",
    [
        "tier",
        "tier_expires_at",
        "role",
        "is_admin",
        "is_active",
        "is_verified",
        "email",
        "id",
        "delete_after",
        "password_hash",
    ],
)
def test_nothing_else_can_be_changed(accounts: Accounts, field: str) -> None:
    token = accounts.register()["access_token"]
    before = accounts.query("SELECT * FROM users")
    assert change(accounts, token, {"display_name": "Mallory", field: "enterprise"}).status_code == 422
    assert accounts.query("SELECT * FROM users") == before


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\r\nBcc: x", "\u202ea", "\ufeff", "x" * 101, 7, ["x"]])
def test_a_name_is_one_line_that_can_be_seen(accounts: Accounts, name: Any) -> None:
    token = accounts.register()["access_token"]
    assert change(accounts, token, {"display_name": name}).status_code == 422


@pytest.mark.parametrize(
    "name",
    [
        "x" * 100,
        "{{7*7}} %s ${x}",
        "<script>alert(1)</script>",
        "=cmd",
        "'; DROP TABLE users --",
        "👩\u200d👧",
        "نام\u200cمن",
    ],
)
def test_a_hostile_or_unusual_name_is_kept_as_it_is(accounts: Accounts, name: str) -> None:
    token = accounts.register()["access_token"]
    assert change(accounts, token, {"display_name": name}).status_code == 200
    assert accounts.profile(token).get_json()["display_name"] == name


def test_only_the_own_name_changes(accounts: Accounts) -> None:
    alice, bob = accounts.register(), accounts.register("bob@example.com")
    change(accounts, bob["access_token"], {"display_name": "Bob"})
    assert accounts.profile(alice["access_token"]).get_json()["display_name"] is None


def test_nobody_is_asked_to_sign_in(accounts: Accounts) -> None:
    assert accounts.client.patch("/api/auth/profile", json={"display_name": "x"}).status_code == 401
