"""POST /api/auth/logout"""

from concurrent.futures import ThreadPoolExecutor

from tests.auth.accounts_app import Accounts, bearer


def test_a_refresh_token_ends_its_session_within_one_request(accounts: Accounts) -> None:
    signed_in = accounts.register()
    assert accounts.profile(signed_in["access_token"]).status_code == 200
    answer = accounts.post("/logout", {"refresh_token": signed_in["refresh_token"]})
    assert answer.status_code == 204
    assert answer.data == b""
    assert accounts.profile(signed_in["access_token"]).status_code == 401
    assert accounts.refresh(signed_in["refresh_token"]).status_code == 401


def test_an_access_token_ends_its_session_without_a_body(accounts: Accounts) -> None:
    signed_in = accounts.register()
    answer = accounts.client.post("/api/auth/logout", headers=bearer(signed_in["access_token"]))
    assert answer.status_code == 204
    assert accounts.profile(signed_in["access_token"]).status_code == 401
    assert accounts.refresh(signed_in["refresh_token"]).status_code == 401


def test_signing_out_can_be_repeated(accounts: Accounts) -> None:
    signed_in = accounts.register()
    for _ in range(2):
        assert accounts.post("/logout", {"refresh_token": signed_in["refresh_token"]}).status_code == 204
        assert accounts.post("/logout", {}, headers=bearer(signed_in["access_token"])).status_code == 204
    assert accounts.query("SELECT state_version FROM users") == [(2,)]


def test_other_sessions_live_on(accounts: Accounts) -> None:
    phone = accounts.register()
    tablet = accounts.sign_in().get_json()
    accounts.post("/logout", {"refresh_token": phone["refresh_token"]})
    assert accounts.profile(tablet["access_token"]).status_code == 200
    assert accounts.refresh(tablet["refresh_token"]).status_code == 200


def test_a_refresh_token_that_was_never_ours_is_answered_alike(accounts: Accounts) -> None:
    signed_in = accounts.register()
    token = signed_in["refresh_token"]
    for text in ("rt_nonsense", token[:-1] + ("0" if token[-1] != "0" else "1")):
        assert accounts.post("/logout", {"refresh_token": text}).status_code == 204
    assert accounts.profile(signed_in["access_token"]).status_code == 200


def test_without_any_token_there_is_nothing_to_sign_out(accounts: Accounts) -> None:
    assert accounts.post("/logout", {}).status_code == 401
    assert accounts.client.post("/api/auth/logout").status_code == 401


def test_signing_out_and_refreshing_at_once_ends_the_session_without_an_error(accounts: Accounts) -> None:
    signed_in = accounts.register()
    token = signed_in["refresh_token"]

    def attempt(number: int) -> int:
        if number % 2:
            return accounts.post("/logout", {"refresh_token": token}).status_code
        return accounts.refresh(token).status_code

    with ThreadPoolExecutor(12) as threads:
        statuses = set(threads.map(attempt, range(24)))
    assert statuses <= {200, 204, 401}
    assert accounts.refresh(token).status_code == 401
    assert accounts.profile(signed_in["access_token"]).status_code == 401
