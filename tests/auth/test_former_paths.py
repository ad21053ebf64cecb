"""The account paths of older clients, with the bodies that they send"""

import pytest
from werkzeug.test import TestResponse

from compat import add_compat_routes
from tests.auth.accounts_app import PASSWORD, Accounts, bearer
from tests.auth.conftest import MakeAccounts
from tests.auth.key_holder import KeyHolder
from tests.auth.message_parts import token_in

ALICE = {"email": "alice@example.com", "password": PASSWORD}


@pytest.fixture
def accounts(make_accounts: MakeAccounts) -> Accounts:
    accounts = make_accounts()
    add_compat_routes(accounts.app, accounts.auth)
    return accounts


def call(accounts: Accounts, method: str, path: str, body: object = None, token: str | None = None) -> TestResponse:
    headers = {} if token is None else bearer(token)
    answer = accounts.client.open(f"/api/customers{path}", method=method, json=body, headers=headers)
    assert answer.headers["Deprecation"]
    return answer


def test_the_account_endpoints_work_as_they_did(accounts: Accounts) -> None:
    assert call(accounts, "POST", "/register", {**ALICE, "invite_code": "DEMO1234"}).status_code == 201
    (message,) = accounts.messages()
    opened = accounts.client.get(f"/api/customers/verify-email?token={token_in(message)}")
    assert (opened.status_code, opened.headers["Location"]) == (
        303,
        f"/account/verify-email#token={token_in(message)}",
    )
    assert accounts.query("SELECT is_verified FROM users") == [(False,)]
    signed_in = call(accounts, "POST", "/login", ALICE).get_json()
    token = signed_in["access_token"]
    assert accounts.client.post("/api/customers/resend-verification", headers=bearer(token)).status_code == 202
    assert [message["To"] for message in accounts.messages()] == ["alice@example.com"]
    changed = {"current_password": PASSWORD, "new_password": f"{PASSWORD} 2"}
    assert call(accounts, "POST", "/password/change", changed, token).status_code == 204
    assert call(accounts, "POST", "/password/reset", {"email": "alice@example.com"}).status_code == 202
    assert accounts.client.post("/api/customers/logout", headers=bearer(token)).status_code == 204
    assert accounts.profile(token).status_code == 401


def test_a_client_of_the_store_signs_in_and_reads_changes_and_closes_its_account(accounts: Accounts) -> None:
    client = accounts.client
    account = {"email": "user@example.com", "username": "Bonsai.Fan", "password": PASSWORD}
    assert client.post("/auth/register", json=account).status_code == 201
    signed_in = client.post("/auth/login", json={"email": "user@example.com", "password": PASSWORD})
    assert (signed_in.status_code, signed_in.get_json()["token_type"]) == (200, "Bearer")
    own = bearer(signed_in.get_json()["access_token"])
    me = client.get("/users/me", headers=own)
    assert me.headers["Link"] == '</api/auth/profile>; rel="successor-version"'
    said = me.get_json()
    assert (said["email"], said["username"]) == ("user@example.com", "bonsai.fan")
    assert (said["is_active"], said["is_admin"], said["updated_at"]) == (True, False, said["created_at"])
    changed = client.put("/users/me", json={"display_name": "Bonsai"}, headers=own).get_json()
    assert (changed["display_name"], changed["username"]) == ("Bonsai", None)
    refreshed = client.post("/auth/refresh", json={"refresh_token": signed_in.get_json()["refresh_token"]})
    assert refreshed.status_code == 200
    assert client.delete("/users/me", headers=own).get_json()["status"] == "closed"
    assert client.post("/auth/logout", json={"refresh_token": refreshed.get_json()["refresh_token"]}).status_code == 204
    assert client.get("/users/me", headers=own).status_code == 401


def test_a_key_for_which_no_end_is_named_has_none(accounts: Accounts) -> None:
    alice = KeyHolder(accounts)
    made = call(accounts, "POST", "/tokens", {"name": "Production API Token"}, alice.access_token)
    assert made.status_code == 201, made.text
    key = made.get_json()
    assert (key["expires_at"], key["scopes"], key["token"][:4]) == (None, ["predict"], "tok_")
    assert call(accounts, "GET", "/tokens", token=alice.access_token).get_json()["tokens"][0]["id"] == key["id"]
    assert call(accounts, "DELETE", f"/tokens/{key['id']}", token=alice.access_token).status_code == 204
    assert alice.use(key["token"]).status_code == 401
    body = {"name": "short", "expires_in_days": 1}
    assert call(accounts, "POST", "/tokens", body, alice.access_token).get_json()["expires_at"] is not None
