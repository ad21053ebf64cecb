"""GET and DELETE /api/auth/sessions"""

import uuid
from typing import Any

from werkzeug.test import TestResponse

from auth.sessions.open import SESSIONS_PER_USER
from tests.auth.accounts_app import PASSWORD, Accounts, bearer
from tests.auth.factor_owner import FactorOwner


def listed(accounts: Accounts, token: str, query: str = "") -> dict[str, Any]:
    answer = accounts.client.get(f"/api/auth/sessions{query}", headers=bearer(token))
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def end(accounts: Accounts, token: str, path: str) -> TestResponse:
    return accounts.client.delete(f"/api/auth/sessions{path}", headers=bearer(token))


def test_the_own_sessions_are_listed_newest_first_with_what_tells_them_apart(accounts: Accounts) -> None:
    accounts.post("/register", {"email": "alice@example.com", "password": PASSWORD, "device_name": "Alice's phone"})
    accounts.clock.advance(minutes=59)
    credentials = {"email": "alice@example.com", "password": PASSWORD, "remember_me": True}
    tablet = accounts.post(
        "/login", credentials, headers={"User-Agent": "Tablet/1\x1b[31m"}, environ_base={"REMOTE_ADDR": "192.0.2.7"}
    ).get_json()
    page = listed(accounts, tablet["access_token"])
    assert page["next_cursor"] is None
    newest, oldest = page["sessions"]
    assert (newest["current"], oldest["current"]) == (True, False)
    assert (newest["device_name"], oldest["device_name"]) == (None, "Alice's phone")
    assert (newest["user_agent"], newest["ip_first"], newest["ip_last"]) == ("Tablet/1?[31m", "192.0.2.7", "192.0.2.7")
    assert (newest["remember_me"], oldest["remember_me"]) == (True, False)
    assert newest["created_at"] == newest["last_used_at"] > oldest["created_at"]


def test_a_refresh_moves_the_last_use_and_its_address_and_a_request_does_not(accounts: Accounts) -> None:
    signed_in = accounts.register()
    (before,) = listed(accounts, signed_in["access_token"])["sessions"]
    accounts.clock.advance(minutes=5)
    (unchanged,) = listed(accounts, signed_in["access_token"])["sessions"]
    assert unchanged == before
    body = {"refresh_token": signed_in["refresh_token"]}
    accounts.post("/refresh", body, environ_base={"REMOTE_ADDR": "192.0.2.7"})
    (after,) = listed(accounts, signed_in["access_token"])["sessions"]
    assert after["last_used_at"] > before["last_used_at"]
    assert (after["ip_first"], after["ip_last"]) == ("127.0.0.1", "192.0.2.7")


def test_sessions_that_ended_or_ran_out_and_those_of_others_are_not_listed(accounts: Accounts) -> None:
    old = accounts.register()
    gone = accounts.sign_in().get_json()
    accounts.post("/logout", {"refresh_token": gone["refresh_token"]})
    accounts.register("bob@example.com")
    accounts.clock.advance(hours=1)
    now = accounts.sign_in().get_json()
    assert [each["current"] for each in listed(accounts, now["access_token"])["sessions"]] == [True]
    assert accounts.refresh(old["refresh_token"]).status_code == 401


def test_pages_follow_each_other_without_gap_or_repetition(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    for _ in range(4):
        token = accounts.sign_in().get_json()["access_token"]
    everything = [each["id"] for each in listed(accounts, token)["sessions"]]
    found: list[str] = []
    query = "?limit=2"
    while True:
        page = listed(accounts, token, query)
        found += [each["id"] for each in page["sessions"]]
        if page["next_cursor"] is None:
            break
        query = f"?limit=2&cursor={page['next_cursor']}"
    assert len(everything) == 5
    assert found == everything


def test_a_query_that_is_not_understood_is_refused(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    for query in ("?limit=0", "?limit=201", "?cursor=1", "?sort=password_hash", "?user_id=1", "?limit=1&limit=2"):
        assert accounts.client.get(f"/api/auth/sessions{query}", headers=bearer(token)).status_code == 422


def test_an_ended_session_stops_within_one_request(accounts: Accounts) -> None:
    phone = accounts.register()
    tablet = accounts.sign_in().get_json()
    assert accounts.profile(phone["access_token"]).status_code == 200
    phone_id = listed(accounts, phone["access_token"])["sessions"][1]["id"]
    assert end(accounts, tablet["access_token"], f"/{phone_id}").status_code == 204
    assert accounts.profile(phone["access_token"]).status_code == 401
    assert accounts.refresh(phone["refresh_token"]).status_code == 401
    assert accounts.profile(tablet["access_token"]).status_code == 200
    assert end(accounts, tablet["access_token"], f"/{phone_id}").status_code == 404
    assert accounts.events().count("session_revoked") == 1


def test_the_session_of_somebody_else_is_answered_like_one_that_never_was(accounts: Accounts) -> None:
    alice = accounts.register()
    (session,) = listed(accounts, alice["access_token"])["sessions"]
    mallory = accounts.register("mallory@example.com")["access_token"]
    foreign = end(accounts, mallory, f"/{session['id']}")
    unknown = end(accounts, mallory, f"/{uuid.uuid4()}")
    assert (foreign.status_code, unknown.status_code) == (404, 404)
    assert foreign.get_json()["detail"] == unknown.get_json()["detail"]
    assert accounts.profile(alice["access_token"]).status_code == 200


def test_signing_out_everywhere_else_keeps_this_session(accounts: Accounts) -> None:
    others = [accounts.register(), accounts.sign_in().get_json()]
    mine = accounts.sign_in().get_json()
    stranger = accounts.register("bob@example.com")
    answer = end(accounts, mine["access_token"], "?keep_current=true")
    assert (answer.status_code, answer.get_json()) == (200, {"ended": 2})
    for other in others:
        assert accounts.profile(other["access_token"]).status_code == 401
        assert accounts.refresh(other["refresh_token"]).status_code == 401
    assert accounts.profile(mine["access_token"]).status_code == 200
    assert accounts.profile(stranger["access_token"]).status_code == 200


def test_signing_out_everywhere_ends_this_session_too(accounts: Accounts) -> None:
    sessions = [accounts.register(), accounts.sign_in().get_json()]
    assert end(accounts, sessions[1]["access_token"], "?keep_current=false").get_json() == {"ended": 2}
    for session in sessions:
        assert accounts.profile(session["access_token"]).status_code == 401
        assert accounts.refresh(session["refresh_token"]).status_code == 401
    assert "sessions_revoked" in accounts.events()


def test_signing_out_everywhere_keeps_what_the_owner_set_up(accounts: Accounts) -> None:
    """Programs go on, and so do the ways to sign in: a stale session must not be able to remove a second factor by this."""
    alice = FactorOwner(accounts)
    accounts.query("UPDATE users SET is_verified = true")
    accounts.clock.advance(seconds=1)
    alice.turn_on_totp()
    key = accounts.post("/tokens", {"name": "x", "scopes": ["predict"]}, headers=bearer(alice.access_token))
    waiting = alice.begin_sign_in()
    accounts.clock.advance(minutes=10)
    assert end(accounts, alice.access_token, "?keep_current=true").status_code == 200
    assert accounts.profile(key.get_json()["token"]).status_code == 403
    assert alice.finish(waiting, totp_code=alice.code()).get_json()["error"] == "challenge_not_valid"
    assert alice.finish(alice.begin_sign_in(), totp_code=alice.code()).status_code == 200


def test_who_was_intruded_upon_names_a_moment_and_what_was_added_since_is_gone(accounts: Accounts) -> None:
    alice = FactorOwner(accounts)
    body = {"name": "x", "scopes": ["predict"]}
    accounts.clock.advance(seconds=1)
    old = accounts.post("/tokens", body, headers=bearer(alice.access_token)).get_json()["token"]
    accounts.clock.advance(seconds=1)
    moment = accounts.clock().isoformat().replace("+00:00", "Z")
    new = accounts.post("/tokens", body, headers=bearer(alice.access_token)).get_json()["token"]
    alice.add_passkey()
    accounts.messages()
    assert end(accounts, alice.access_token, f"?keep_current=true&added_since={moment}").get_json() == {"ended": 0}
    assert (accounts.profile(old).status_code, accounts.profile(new).status_code) == (403, 401)
    assert accounts.query("SELECT count(*) FROM passkeys") == [(0,)]
    assert accounts.query("SELECT count(*) FROM recovery_codes") == [(0,)]
    assert [message["Subject"] for message in accounts.messages()] == ["Recent access to your account was removed"]
    assert {*accounts.events()[-2:]} == {"sessions_revoked", "added_access_removed"}  # of the same moment


def test_that_wants_a_fresh_proof_and_an_instant(accounts: Accounts) -> None:
    alice = FactorOwner(accounts)
    alice.add_passkey()
    assert end(accounts, alice.access_token, "?keep_current=true&added_since=yesterday").status_code == 422
    accounts.clock.advance(minutes=6)
    answer = end(accounts, alice.access_token, "?keep_current=true&added_since=2026-01-01T00:00:00Z")
    assert (answer.status_code, answer.get_json()["error"]) == (401, "insufficient_user_authentication")
    assert accounts.query("SELECT count(*) FROM passkeys") == [(1,)]


def test_what_the_account_was_made_with_stays_whatever_the_moment(accounts: Accounts) -> None:
    device = accounts.register()
    end(accounts, device["access_token"], "?keep_current=true&added_since=2001-01-01T00:00:00Z")
    assert accounts.query("SELECT count(*) FROM known_devices") == [(1,)]


def test_it_must_be_said_whether_this_session_stays(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    assert end(accounts, token, "").status_code == 422
    assert accounts.profile(token).status_code == 200


def test_nobody_is_asked_to_sign_in(accounts: Accounts) -> None:
    for method, path in (("GET", ""), ("DELETE", "?keep_current=true"), ("DELETE", f"/{uuid.uuid4()}")):
        answer = accounts.client.open(f"/api/auth/sessions{path}", method=method)
        assert (answer.status_code, answer.get_json()["error"]) == (401, "not_signed_in")


def test_a_device_name_is_one_line_that_can_be_seen(accounts: Accounts) -> None:
    accounts.register()
    for name in ("", " ", "a\nb", "a\x1b[31m", "a\u202eb", "\u200b", "x" * 101, "a\u2028b", 7):
        assert accounts.sign_in(device_name=name).status_code == 422, name
    for name in ("x", "x" * 100, "Zoë's télephone 📱", "<script>alert(1)</script>", "=cmd|' /C calc'!A0", "{{7*7}}"):
        token = accounts.sign_in(device_name=name).get_json()["access_token"]
        assert listed(accounts, token)["sessions"][0]["device_name"] == name


def test_the_session_used_longest_ago_makes_room_for_another(accounts: Accounts) -> None:
    first = accounts.register()
    for _ in range(SESSIONS_PER_USER):
        accounts.clock.advance(seconds=1)
        last = accounts.sign_in().get_json()
    assert accounts.profile(first["access_token"]).status_code == 401
    assert len(listed(accounts, last["access_token"])["sessions"]) == SESSIONS_PER_USER
