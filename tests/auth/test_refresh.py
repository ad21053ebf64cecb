"""POST /api/auth/refresh"""

import base64
import secrets
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from auth.tokens.access_token import canonical_uuid
from auth.tokens.opaque import checksum
from auth.tokens.refresh_token import LAYOUT, PREFIX, VERSION, read_refresh_token
from tests.auth.accounts_app import A_DAY, Accounts
from tests.auth.conftest import MakeAccounts


def event_names(events: list[Any]) -> list[str]:
    return [event["event"] for event in events]


def test_a_refresh_token_is_traded_for_its_successor(accounts: Accounts) -> None:
    first = accounts.register()
    answer = accounts.refresh(first["refresh_token"])
    assert answer.status_code == 200
    body = answer.get_json()
    assert set(body) == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert body["refresh_token"] != first["refresh_token"]
    assert accounts.profile(body["access_token"]).status_code == 200
    assert accounts.refresh(body["refresh_token"]).status_code == 200


def test_thirty_refreshes_of_one_token_at_once_give_one_successor(accounts: Accounts) -> None:
    token = accounts.register()["refresh_token"]
    with ThreadPoolExecutor(30) as threads:
        answers = list(threads.map(lambda _: accounts.refresh(token), range(30)))
    assert {answer.status_code for answer in answers} == {200}
    [successor] = {answer.get_json()["refresh_token"] for answer in answers}
    assert accounts.query("SELECT generation FROM sessions") == [(1,)]
    assert accounts.refresh(successor).status_code == 200


def test_a_lost_answer_can_be_asked_for_again_for_a_minute(accounts: Accounts) -> None:
    token = accounts.register()["refresh_token"]
    successor = accounts.refresh(token).get_json()["refresh_token"]
    accounts.clock.advance(seconds=59)
    assert accounts.refresh(token).get_json()["refresh_token"] == successor


def test_a_lost_answer_can_be_asked_for_the_next_day_with_the_same_idempotency_key(accounts: Accounts) -> None:
    accounts.register()
    token = accounts.sign_in(remember_me=True).get_json()["refresh_token"]
    key = secrets.token_urlsafe(16)
    successor = accounts.refresh(token, key).get_json()["refresh_token"]
    accounts.clock.advance(days=1)
    again = accounts.refresh(token, key)
    assert again.status_code == 200
    assert again.get_json()["refresh_token"] == successor
    assert accounts.refresh(successor).status_code == 200


def test_another_idempotency_key_does_not_open_the_window(accounts: Accounts) -> None:
    token = accounts.register()["refresh_token"]
    accounts.refresh(token, secrets.token_urlsafe(16))
    accounts.clock.advance(seconds=61)
    assert accounts.refresh(token, secrets.token_urlsafe(16)).status_code == 401


def test_a_spent_token_ends_the_session_and_raises_an_alarm(accounts: Accounts, security_events: list[Any]) -> None:
    first = accounts.register()
    second = accounts.refresh(first["refresh_token"]).get_json()
    accounts.clock.advance(seconds=61)
    answer = accounts.refresh(first["refresh_token"])
    assert answer.status_code == 401
    assert answer.get_json()["error"] == "invalid_grant"
    assert accounts.refresh(second["refresh_token"]).status_code == 401
    assert accounts.profile(second["access_token"]).status_code == 401
    assert event_names(security_events).count("refresh_token_reused") == 1
    assert accounts.query("SELECT revoke_reason FROM sessions") == [("reuse",)]


def test_a_token_two_generations_old_ends_the_session_at_once(accounts: Accounts) -> None:
    first = accounts.register()["refresh_token"]
    second = accounts.refresh(first).get_json()["refresh_token"]
    third = accounts.refresh(second).get_json()["refresh_token"]
    assert accounts.refresh(first).status_code == 401
    assert accounts.refresh(third).status_code == 401


def test_a_thief_and_an_owner_who_take_turns_are_noticed(accounts: Accounts) -> None:
    stolen = accounts.register()["refresh_token"]
    thief = accounts.refresh(stolen).get_json()["refresh_token"]
    accounts.clock.advance(minutes=5)
    assert accounts.refresh(stolen).status_code == 401
    assert accounts.refresh(thief).status_code == 401


def test_ending_one_session_leaves_the_others(accounts: Accounts) -> None:
    phone = accounts.register()
    tablet = accounts.sign_in().get_json()
    accounts.refresh(phone["refresh_token"])
    accounts.clock.advance(seconds=61)
    accounts.refresh(phone["refresh_token"])
    assert accounts.refresh(tablet["refresh_token"]).status_code == 200


def test_a_forged_token_is_refused_and_does_not_end_the_session(accounts: Accounts) -> None:
    real = accounts.register()["refresh_token"]
    presented = read_refresh_token(real)
    assert presented is not None
    for generation in (0, 1, 5, 2**31 - 1, 2**32 - 1):
        packed = LAYOUT.pack(VERSION, presented.session_id.bytes, generation, secrets.token_bytes(32))
        start = PREFIX + base64.urlsafe_b64encode(packed).rstrip(b"=").decode()
        assert accounts.refresh(start + checksum(start)).status_code == 401
    assert accounts.query("SELECT generation, revoked_at FROM sessions") == [(0, None)]
    assert accounts.refresh(real).status_code == 200


def test_a_token_of_a_session_that_never_was_is_refused(accounts: Accounts) -> None:
    forged = accounts.auth.refresh_tokens.issue(uuid.uuid4(), 0, secrets.token_bytes(32))
    assert accounts.refresh(forged).status_code == 401


def test_a_session_unused_for_an_hour_is_over(accounts: Accounts) -> None:
    token = accounts.register()["refresh_token"]
    accounts.clock.advance(minutes=60)
    assert accounts.refresh(token).status_code == 401


def test_use_prolongs_a_session_but_not_beyond_its_end(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(sessions=A_DAY)
    token = accounts.register()["refresh_token"]
    for _ in range(7):
        accounts.clock.advance(hours=23)
        answer = accounts.refresh(token)
        assert answer.status_code == 200
        token = answer.get_json()["refresh_token"]
    accounts.clock.advance(hours=7)
    assert accounts.refresh(token).status_code == 401


def test_an_access_token_never_outlives_its_session(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(sessions=A_DAY)
    token = accounts.register()["refresh_token"]
    for _ in range(7):
        accounts.clock.advance(hours=23, minutes=59)
        token = accounts.refresh(token).get_json()["refresh_token"]
    assert accounts.refresh(token).get_json()["expires_in"] == 7 * 60


def test_a_user_who_was_switched_off_cannot_refresh(accounts: Accounts) -> None:
    token = accounts.register()["refresh_token"]
    accounts.query("UPDATE users SET is_active = false")
    assert accounts.refresh(token).status_code == 401
    assert accounts.query("SELECT generation FROM sessions") == [(0,)]


def test_text_that_is_no_refresh_token_is_refused(accounts: Accounts) -> None:
    signed_in = accounts.register()
    token = signed_in["refresh_token"]
    for text in ("", "rt_", token[:-1], token[:-1] + ("0" if token[-1] != "0" else "1"), token.upper(), "x" * 80):
        assert accounts.refresh(text).status_code == 401
    assert accounts.refresh(token).status_code == 200


def test_an_access_token_is_no_refresh_token(accounts: Accounts) -> None:
    assert accounts.refresh(accounts.register()["access_token"]).status_code in {401, 422}


def test_an_idempotency_key_that_is_no_key_is_refused(accounts: Accounts) -> None:
    token = accounts.register()["refresh_token"]
    for key in ("x" * 300, "two words", "\xe9", ""):
        refused = accounts.refresh(token, key)
        assert (refused.status_code, refused.get_json()["error"]) == (400, "malformed_idempotency_key")
    assert accounts.query("SELECT generation FROM sessions") == [(0,)]


def test_a_database_alone_holds_no_token(accounts: Accounts) -> None:
    token = accounts.register()["refresh_token"]
    presented = read_refresh_token(token)
    assert presented is not None
    [row] = accounts.query("SELECT row_to_json(sessions)::text FROM sessions")
    assert presented.mac.hex() not in row[0]
    assert canonical_uuid(str(presented.session_id)) == presented.session_id
