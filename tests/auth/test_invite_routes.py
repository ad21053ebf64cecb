"""POST and GET /api/auth/invites, DELETE /api/auth/invites/{invite_id}"""

import uuid
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.auth.accounts_app import PASSWORD, Accounts, bearer
from tests.auth.conftest import MakeAccounts


class Admin:
    """Root, who invites people."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        accounts.query("UPDATE users SET role = 'admin'")
        self.token = accounts.sign_in("root@example.com").get_json()["access_token"]
        [(user_id,)] = accounts.query("SELECT id::text FROM users")
        self.user_id = user_id

    def invite(self, **wish: Any) -> dict[str, Any]:
        answer = self.accounts.post("/invites", wish, headers=bearer(self.token))
        assert answer.status_code == 201, answer.text
        return dict(answer.get_json())

    def listed(self, **query: Any) -> TestResponse:
        return self.accounts.client.get("/api/auth/invites", query_string=query, headers=bearer(self.token))

    def revoke(self, invite_id: object) -> TestResponse:
        return self.accounts.client.delete(f"/api/auth/invites/{invite_id}", headers=bearer(self.token))


@pytest.fixture
def admin(make_accounts: MakeAccounts) -> Admin:
    make_accounts().register("root@example.com")
    return Admin(make_accounts(registration_mode="invite"))


def register(accounts: Accounts, code: str, email: str = "alice@example.com") -> int:
    return accounts.post("/register", {"email": email, "password": PASSWORD, "invite_code": code}).status_code


def test_the_code_is_shown_once_and_makes_accounts(admin: Admin) -> None:
    made = admin.invite(max_uses=2, expires_in_days=7, note=" For the launch ")
    code = made.pop("code")
    assert (made["max_uses"], made["uses"], made["state"]) == (2, 0, "valid")
    assert (made["note"], made["created_by"]) == ("For the launch", admin.user_id)
    assert admin.listed().get_json() == {"invites": [made], "next_cursor": None}
    assert register(admin.accounts, code) == 201
    assert register(admin.accounts, code, "bob@example.com") == 201
    assert register(admin.accounts, code, "carol@example.com") == 400
    [shown] = admin.listed().get_json()["invites"]
    assert (shown["uses"], shown["state"]) == (2, "used_up")
    assert code not in admin.listed().text


def test_an_empty_body_makes_one_for_one_account_and_thirty_days(admin: Admin) -> None:
    admin.invite()
    days = "SELECT max_uses, extract(day FROM expires_at - created_at)::int FROM invites"
    assert admin.accounts.query(days) == [(1, 30)]


@pytest.mark.parametrize(
    ("wish", "pointer"),
    [
        ({"max_uses": 0}, "/max_uses"),
        ({"max_uses": 1_000_001}, "/max_uses"),
        ({"max_uses": "3"}, "/max_uses"),
        ({"max_uses": None}, "/max_uses"),
        ({"expires_in_days": 0}, "/expires_in_days"),
        ({"expires_in_days": 366}, "/expires_in_days"),
        ({"note": "two\nlines"}, "/note"),
        ({"note": "x" * 201}, "/note"),
        ({"code": "DEMO1234"}, "/code"),
    ],
    ids=repr,
)
def test_a_wish_that_is_not_acceptable_makes_no_invite(admin: Admin, wish: dict[str, Any], pointer: str) -> None:
    refused = admin.accounts.post("/invites", wish, headers=bearer(admin.token))
    assert (refused.status_code, refused.get_json()["errors"][0]["pointer"]) == (422, pointer)
    assert admin.accounts.query("SELECT count(*) FROM invites") == [(0,)]


def test_the_list_comes_in_pages_from_the_newest_on(admin: Admin) -> None:
    made = [admin.invite()["id"] for _ in range(5)]
    found: list[str] = []
    cursor: dict[str, str | None] = {}
    for size in (2, 2, 1):
        page = admin.listed(limit=2, **cursor).get_json()
        assert len(page["invites"]) == size
        found += [invite["id"] for invite in page["invites"]]
        cursor = {"cursor": page["next_cursor"]}
    assert (found, cursor) == (made[::-1], {"cursor": None})
    assert admin.listed(cursor="x").status_code == 422
    assert admin.listed(limit=201).status_code == 422


def test_a_revoked_code_is_good_for_nothing(admin: Admin) -> None:
    made = admin.invite(max_uses=9)
    for _ in range(2):
        assert admin.revoke(made["id"]).status_code == 204
    assert register(admin.accounts, made["code"]) == 400
    [shown] = admin.listed().get_json()["invites"]
    assert shown["state"] == "revoked"
    assert admin.revoke(uuid.uuid4()).status_code == 404


def test_who_did_it_is_written_down(admin: Admin) -> None:
    made = admin.invite()
    admin.revoke(made["id"])
    events = "SELECT event, actor_id::text, detail ->> 'invite_id' FROM security_events WHERE event LIKE 'invite%' ORDER BY id"
    assert admin.accounts.query(events) == [
        ("invite_created", admin.user_id, made["id"]),
        ("invite_revoked", admin.user_id, made["id"]),
    ]


@pytest.mark.parametrize("role", ["user", "support"])
def test_only_admins_invite(admin: Admin, role: str) -> None:
    made = admin.invite()
    assert register(admin.accounts, made["code"]) == 201
    admin.accounts.query("UPDATE users SET role = :role WHERE email = 'alice@example.com'", role=role)
    admin.token = admin.accounts.sign_in().get_json()["access_token"]
    refused = [
        admin.accounts.post("/invites", {}, headers=bearer(admin.token)),
        admin.listed(),
        admin.revoke(made["id"]),
        admin.accounts.post("/invites", {}),
    ]
    assert [answer.status_code for answer in refused] == [403, 403, 403, 401]
    assert admin.accounts.query("SELECT count(*) FROM invites WHERE revoked_at IS NULL") == [(1,)]
