"""DELETE /api/auth/profile, POST /api/auth/profile/restore, and the job that deletes what was closed"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from auth.accounts.purge import SETTLED_AFTER, purge_accounts
from auth.personal_data import PersonalData
from tests.auth.accounts_app import PASSWORD, Accounts, bearer
from tests.auth.conftest import MakeAccounts
from tests.auth.factor_owner import FactorOwner
from tests.auth.message_parts import text_of, token_in

WRONG = f"not {PASSWORD}"


def close(accounts: Accounts, token: str) -> TestResponse:
    return accounts.client.delete("/api/auth/profile", headers=bearer(token))


def restore(accounts: Accounts, email: str = "alice@example.com", password: str = PASSWORD) -> TestResponse:
    return accounts.post("/profile/restore", {"email": email, "password": password})


def purge(accounts: Accounts) -> int:
    with accounts.app.app_context():
        return purge_accounts(accounts.auth)


@pytest.fixture
def paying(make_accounts: MakeAccounts) -> tuple[Accounts, list[UUID]]:
    """Accounts whose subscriptions a package above knows of, and whom it was asked to end them for."""
    ended: list[UUID] = []

    def end_subscriptions(_session: Session, user_id: UUID, _now: datetime) -> Sequence[str]:
        ended.append(user_id)
        return ["apple"]

    part = PersonalData("payments", lambda _session, _user_id: {}, close=end_subscriptions)
    return make_accounts(personal_data=(part,)), ended


def test_a_closed_account_stops_at_once_and_the_owner_is_told_how_to_have_it_back(accounts: Accounts) -> None:
    phone, tablet = accounts.register(), accounts.sign_in().get_json()
    answer = close(accounts, phone["access_token"])
    assert answer.status_code == 200
    until = accounts.clock() + timedelta(days=14)
    body = answer.get_json()
    assert (body["status"], body["cancel_yourself"]) == ("closed", [])
    assert datetime.fromisoformat(body["delete_after"]) == until
    for session in (phone, tablet):
        assert accounts.profile(session["access_token"]).status_code == 401
        assert accounts.refresh(session["refresh_token"]).status_code == 401
    assert "account_closed" in accounts.events()
    (message,) = accounts.messages()
    assert (message["To"], message["Subject"]) == ("alice@example.com", "Your account is closed")
    assert f"{until:%d %B %Y}" in text_of(message)


def test_closing_wants_a_fresh_proof(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    accounts.clock.advance(minutes=6)
    answer = close(accounts, token)
    assert (answer.status_code, answer.get_json()["error"]) == (401, "insufficient_user_authentication")
    assert "max_age=300" in answer.headers["WWW-Authenticate"]
    assert accounts.profile(token).status_code == 200
    assert accounts.client.delete("/api/auth/profile").status_code == 401


def test_subscriptions_are_ended_and_the_answer_says_what_the_user_must_end(
    paying: tuple[Accounts, list[UUID]],
) -> None:
    accounts, ended = paying
    alice = accounts.register()
    assert close(accounts, alice["access_token"]).get_json()["cancel_yourself"] == ["apple"]
    assert ended == [UUID(alice["user"]["id"])]
    (message,) = accounts.messages()
    body = message.get_body(("plain",))
    assert body is not None
    assert "We cannot cancel what you pay for at apple" in body.get_content()


def test_a_part_that_cannot_end_what_it_holds_leaves_the_account_open(make_accounts: MakeAccounts) -> None:
    def fails(_session: Session, _user_id: UUID, _now: datetime) -> Sequence[str]:
        raise ZeroDivisionError

    accounts = make_accounts(personal_data=(PersonalData("payments", lambda _s, _u: {}, close=fails),))
    token = accounts.register()["access_token"]
    assert close(accounts, token).status_code == 500
    assert accounts.profile(token).status_code == 200


def test_only_who_knows_the_password_learns_that_the_account_is_closed(accounts: Accounts) -> None:
    close(accounts, accounts.register()["access_token"])
    known, wrong = accounts.sign_in(), accounts.sign_in(password=WRONG)
    assert (known.status_code, known.get_json()["error"]) == (403, "account_closing")
    assert datetime.fromisoformat(known.get_json()["delete_after"]) == accounts.clock() + timedelta(days=14)
    assert (wrong.status_code, wrong.get_json()["error"]) == (401, "invalid_credentials")


def test_its_address_stays_taken(accounts: Accounts) -> None:
    close(accounts, accounts.register()["access_token"])
    again = accounts.post("/register", {"email": "Alice@example.com", "password": PASSWORD})
    assert again.status_code == 409


def test_the_owner_has_it_back_with_the_password_and_signs_in_anew(accounts: Accounts) -> None:
    alice = accounts.register()
    close(accounts, alice["access_token"])
    accounts.messages()
    accounts.clock.advance(days=13)
    answer = restore(accounts)
    assert (answer.status_code, answer.data) == (204, b"")
    assert accounts.refresh(alice["refresh_token"]).status_code == 401
    signed_in = accounts.sign_in().get_json()
    assert signed_in["user"]["id"] == alice["user"]["id"]
    assert accounts.profile(signed_in["access_token"]).status_code == 200
    accounts.clock.advance(days=30)
    assert purge(accounts) == 0
    assert "account_restored" in accounts.events()
    assert [message["Subject"] for message in accounts.messages()] == ["Your account is restored"]


def test_an_owner_who_forgot_the_password_sets_a_new_one_and_has_it_back(accounts: Accounts) -> None:
    close(accounts, accounts.register()["access_token"])
    accounts.messages()
    accounts.post("/forgot-password", {"email": "alice@example.com"})
    (message,) = accounts.messages()
    body = {"token": token_in(message), "new_password": f"new {PASSWORD}"}
    assert accounts.post("/reset-password", body).status_code == 204
    assert accounts.sign_in(password=f"new {PASSWORD}").get_json()["error"] == "account_closing"
    assert restore(accounts, password=f"new {PASSWORD}").status_code == 204
    assert accounts.sign_in(password=f"new {PASSWORD}").status_code == 200


def test_nothing_that_was_pending_survives_and_the_ways_to_sign_in_wait_for_the_owner(accounts: Accounts) -> None:
    alice = FactorOwner(accounts)
    alice.turn_on_totp()
    alice.add_passkey()
    waiting = alice.begin_sign_in()
    accounts.messages()
    accounts.post("/email/change", {"new_email": "new@example.com"}, headers=bearer(alice.access_token))
    (message,) = accounts.messages()
    assert close(accounts, alice.access_token).status_code == 200
    assert accounts.post("/email/confirm", {"token": token_in(message)}).status_code == 400
    assert alice.finish(waiting, totp_code=alice.code()).status_code == 401
    assert restore(accounts).status_code == 204
    again = alice.finish(alice.begin_sign_in(), totp_code=alice.code())
    assert again.status_code == 200
    assert accounts.query("SELECT count(*) FROM passkeys") == [(1,)]


def test_strangers_learn_nothing_from_restoring(accounts: Accounts) -> None:
    close(accounts, accounts.register()["access_token"])
    wrong, unknown = restore(accounts, password=WRONG), restore(accounts, "nobody@example.com")
    assert (wrong.status_code, unknown.status_code) == (401, 401)
    assert wrong.get_json()["detail"] == unknown.get_json()["detail"]
    assert accounts.sign_in().status_code == 403


def test_an_account_that_is_not_closed_is_not_restored(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    answer = restore(accounts)
    assert (answer.status_code, answer.get_json()["error"]) == (409, "account_not_closing")
    assert restore(accounts, password=WRONG).status_code == 401
    assert accounts.profile(token).status_code == 200


def test_an_account_that_was_switched_off_by_us_is_not_restored(accounts: Accounts) -> None:
    accounts.register()
    accounts.query("UPDATE users SET is_active = false")
    answer = restore(accounts)
    assert (answer.status_code, answer.get_json()["error"]) == (403, "account_disabled")
    accounts.clock.advance(days=400)
    assert purge(accounts) == 0


def test_after_the_time_of_grace_everything_but_the_audit_log_is_deleted(accounts: Accounts) -> None:
    alice = accounts.register()
    accounts.register("bob@example.com")
    accounts.client.post("/api/auth/export", headers=bearer(alice["access_token"]))
    close(accounts, alice["access_token"])
    accounts.clock.advance(days=14)
    assert purge(accounts) == 0
    accounts.clock.now += SETTLED_AFTER
    assert purge(accounts) == 1
    tables = ["users", "sessions", "known_devices", "data_exports", "identities", "subscriptions", "one_time_codes"]
    for table in tables:
        column = "id" if table == "users" else "user_id"
        statement = f"SELECT count(*) FROM {table} WHERE {column} = :user_id"
        assert accounts.query(statement, user_id=alice["user"]["id"]) == [(0,)], table
    assert accounts.query("SELECT email FROM users") == [("bob@example.com",)]
    events = accounts.events(alice["user"]["id"])
    assert events == ["registered", "data_export_requested", "account_closed", "account_deleted"]
    assert "alice" not in str(accounts.query("SELECT row_to_json(security_events)::text FROM security_events"))
    assert accounts.sign_in().status_code == 401
    assert restore(accounts).status_code == 401
    assert accounts.register()["user"]["id"] != alice["user"]["id"]
    assert purge(accounts) == 0


def test_what_others_hold_is_erased_in_portions_before_the_user(make_accounts: MakeAccounts) -> None:
    left = {"rows": 5}

    def erase(session: Session, user_id: UUID) -> int:
        assert session.execute(text("SELECT 1 FROM users WHERE id = :id"), {"id": user_id}).one() == (1,)
        taken = min(2, left["rows"])
        left["rows"] -= taken
        return taken

    accounts = make_accounts(personal_data=(PersonalData("calls", lambda _s, _u: {}, erase=erase),))
    close(accounts, accounts.register()["access_token"])
    accounts.clock.advance(days=15)
    assert purge(accounts) == 1
    assert left == {"rows": 0}


def test_without_a_time_of_grace_the_next_run_deletes(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(deletion_grace=timedelta(0))
    close(accounts, accounts.register()["access_token"])
    accounts.clock.now += SETTLED_AFTER
    assert purge(accounts) == 1


def test_closing_refreshing_and_signing_in_at_once_ends_in_a_closed_account(accounts: Accounts) -> None:
    alice = accounts.register()
    token = alice["access_token"]

    def attempt(number: int) -> int:
        match number % 6:
            case 0:
                return close(accounts, token).status_code
            case 1:
                return accounts.refresh(alice["refresh_token"]).status_code
            case 2:
                return accounts.sign_in().status_code
            case 3:
                return accounts.client.delete("/api/auth/sessions?keep_current=true", headers=bearer(token)).status_code
            case 4:
                return accounts.client.post("/api/auth/export", headers=bearer(token)).status_code
            case _:
                return accounts.post("/reauthenticate", {"password": PASSWORD}, headers=bearer(token)).status_code

    with ThreadPoolExecutor(12) as threads:
        statuses = list(threads.map(attempt, range(1, 37)))
    assert set(statuses) <= {200, 202, 204, 401, 403, 429}
    assert accounts.sign_in().status_code == 403
    assert accounts.query("SELECT count(*) FROM sessions WHERE revoked_at IS NULL") == [(0,)]
    assert accounts.events().count("account_closed") == 1
