"""GET /api/auth/profile"""

from tests.auth.accounts_app import Accounts, bearer


def test_a_signed_in_user_sees_the_own_account_and_no_secret(accounts: Accounts) -> None:
    signed_in = accounts.register()
    answer = accounts.profile(signed_in["access_token"])
    assert answer.status_code == 200
    names = {"id", "email", "username", "display_name"}
    facts = {"tier", "is_verified", "is_active", "is_admin", "created_at", "updated_at", "impersonated_by"}
    body = answer.get_json()
    assert set(body) == names | facts
    assert (body["is_active"], body["is_admin"], body["impersonated_by"]) == (True, False, False)
    assert body["updated_at"] == body["created_at"]


def test_only_the_role_of_an_admin_is_shown_as_one(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    for role, is_admin in (("support", False), ("admin", True)):
        accounts.query(f"UPDATE users SET role = '{role}'")
        assert accounts.profile(token).get_json()["is_admin"] is is_admin


def test_nobody_is_asked_to_sign_in(accounts: Accounts) -> None:
    answer = accounts.client.get("/api/auth/profile")
    assert answer.status_code == 401
    assert answer.get_json()["error"] == "not_signed_in"
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="mirroros"'


def test_a_token_in_the_query_is_ignored(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    for name in ("access_token", "token", "jwt", "authorization"):
        assert accounts.client.get(f"/api/auth/profile?{name}={token}").status_code == 401


def test_a_client_cannot_choose_who_it_is_by_a_header(accounts: Accounts) -> None:
    alice = accounts.register("alice@example.com")
    bob = accounts.register("bob@example.com")
    headers = {**bearer(bob["access_token"]), "X-User-Id": alice["user"]["id"], "X-Tier": "enterprise"}
    body = accounts.client.get("/api/auth/profile", headers=headers).get_json()
    assert (body["email"], body["tier"]) == ("bob@example.com", "free")


def test_a_tier_that_ran_out_is_shown_as_free(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    end = accounts.clock.now
    accounts.query("UPDATE users SET tier = 'pro', tier_expires_at = :end", end=end)
    assert accounts.profile(token).get_json()["tier"] == "free"
    accounts.query("UPDATE users SET tier_expires_at = NULL")
    assert accounts.profile(token).get_json()["tier"] == "pro"
