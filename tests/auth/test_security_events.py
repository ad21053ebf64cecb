"""GET /api/auth/security-events and /api/auth/admin/security-events, and the job that deletes what is old."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from werkzeug.test import TestResponse

from auth.purge import PURGES
from tests.auth.accounts_app import PASSWORD, Accounts, bearer

OWN = "/api/auth/security-events"
ALL = "/api/auth/admin/security-events"


def read(accounts: Accounts, token: str, path: str = OWN, **query: Any) -> TestResponse:
    return accounts.client.get(path, headers=bearer(token), query_string=query)


def names(answer: TestResponse) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [event["event"] for event in answer.get_json()["events"]]


def as_role(accounts: Accounts, role: str) -> str:
    """The token of a member of the staff whose registration is the oldest event."""
    token = str(accounts.register("carol@example.com")["access_token"])
    accounts.query("UPDATE users SET role = :role WHERE email = 'carol@example.com'", role=role)
    accounts.clock.advance(seconds=1)
    return token


def test_a_user_reads_what_happened_to_the_own_account_newest_first(accounts: Accounts) -> None:
    alice = accounts.register()
    accounts.register("bob@example.com")
    accounts.clock.advance(seconds=1)
    accounts.sign_in(password=f"not {PASSWORD}")
    answer = read(accounts, alice["access_token"])
    assert names(answer) == ["sign_in_failed", "registered"]
    failed = answer.get_json()["events"][0]
    assert set(failed) == {
        "id",
        "occurred_at",
        "event",
        "by_staff",
        "session_id",
        "ip",
        "user_agent",
        "request_id",
        "detail",
    }
    assert (failed["ip"], failed["by_staff"], failed["detail"]) == ("127.0.0.1", False, {"method": "password"})
    assert answer.get_json()["next_cursor"] is None


def test_pages_follow_each_other_also_within_one_instant(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    for _ in range(6):
        accounts.sign_in()
    everything = [event["id"] for event in read(accounts, token).get_json()["events"]]
    found: list[str] = []
    after: dict[str, str] = {}
    for size in (3, 3, 1):
        page = read(accounts, token, limit=3, **after).get_json()
        assert len(page["events"]) == size
        found += [event["id"] for event in page["events"]]
        after = {"cursor": page["next_cursor"]}
    assert page["next_cursor"] is None
    assert found == everything


def test_events_that_come_meanwhile_move_no_page(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    accounts.clock.advance(seconds=1)
    accounts.sign_in()
    first = read(accounts, token, limit=1).get_json()
    accounts.clock.advance(seconds=1)
    accounts.sign_in()
    assert names(read(accounts, token, limit=1, cursor=first["next_cursor"])) == ["registered"]


def test_filters_by_name_and_time(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    accounts.clock.advance(minutes=1)
    then = accounts.clock.now
    accounts.sign_in()
    accounts.clock.advance(minutes=1)
    accounts.sign_in(password=f"not {PASSWORD}")
    assert names(read(accounts, token, event="signed_in")) == ["signed_in"]
    assert names(read(accounts, token, event="nothing_of_the_kind")) == []
    assert names(read(accounts, token, since=then.isoformat())) == ["sign_in_failed", "signed_in"]
    assert names(read(accounts, token, until=then.isoformat())) == ["registered"]
    assert names(read(accounts, token, since=then.isoformat(), until=then.isoformat())) == []
    assert names(read(accounts, token, until="9505-08-11T23:11:21.868+22:48")) == [
        "sign_in_failed",
        "signed_in",
        "registered",
    ]


def test_the_event_of_somebody_else_is_no_place_to_start_from(accounts: Accounts) -> None:
    alice = accounts.register()
    accounts.clock.advance(seconds=1)
    bob = accounts.register("bob@example.com")
    bobs = read(accounts, bob["access_token"]).get_json()["events"][0]["id"]
    assert read(accounts, alice["access_token"], cursor=bobs).get_json() == {"events": [], "next_cursor": None}


@pytest.mark.parametrize(
    "query",
    [
        {"sort": "password_hash"},
        {"order": "id; DROP TABLE users"},
        {"fields": "password_hash"},
        {"user_id": "01890000-0000-7000-8000-000000000000"},
        {"cursor": "1 OR 1=1"},
        {"since": "yesterday"},
        {"since": "0001-01-01T00:00:00+01:00"},
        {"since": "2026-01-01T00:00:00"},
        {"since": "2026-02-30T00:00:00Z"},
        {"since": "2026-01-01"},
        {"until": "0.5"},
        {"until": "1e9"},
        {"event": "x" * 65},
        {"limit": 0},
        {"limit": 201},
        {"limit": "1e9"},
        {"limit": [1, 2]},
    ],
    ids=str,
)
def test_row_73_no_other_field_order_or_filter_can_be_asked_for(accounts: Accounts, query: dict[str, Any]) -> None:
    assert read(accounts, accounts.register()["access_token"], **query).status_code == 422


@pytest.mark.parametrize("event", ["'", "%", "registere_", "registered' --", "\\", "🌷"])
def test_a_name_is_compared_and_nothing_else(accounts: Accounts, event: str) -> None:
    assert names(read(accounts, accounts.register()["access_token"], event=event)) == []


def test_nobody_reads_events_without_signing_in(accounts: Accounts) -> None:
    assert accounts.client.get(OWN).status_code == 401
    assert accounts.client.get(ALL).status_code == 401


# --- for the staff ----------------------------------------------------------------------------------------------------


def test_row_64_a_user_does_not_read_the_events_of_all(accounts: Accounts) -> None:
    answer = read(accounts, as_role(accounts, "user"), ALL)
    assert (answer.status_code, answer.get_json()["error"]) == (403, "insufficient_role")


def test_an_admin_reads_all_events_also_those_of_no_account(accounts: Accounts) -> None:
    carol = as_role(accounts, "admin")
    alice = accounts.register()["user"]["id"]
    accounts.clock.advance(seconds=1)
    accounts.sign_in("nobody@example.com")
    answer = read(accounts, carol, ALL)
    assert names(answer) == ["sign_in_failed", "registered", "registered"]
    assert [event["user_id"] for event in answer.get_json()["events"][:2]] == [None, alice]
    assert names(read(accounts, carol, ALL, event="sign_in_failed")) == ["sign_in_failed"]
    assert names(read(accounts, carol, ALL, user_id=alice)) == ["registered"]


def test_the_support_reads_the_events_of_one_user_and_not_of_all(accounts: Accounts) -> None:
    carol = as_role(accounts, "support")
    alice = accounts.register()["user"]["id"]
    refused = read(accounts, carol, ALL)
    assert (refused.status_code, refused.get_json()["error"]) == (403, "insufficient_role")
    answer = read(accounts, carol, ALL, user_id=alice)
    assert names(answer) == ["registered"]
    assert answer.get_json()["events"][0]["ip"] == "127.0.0.1"


def test_reading_anothers_events_leaves_a_line_in_the_log(accounts: Accounts, security_events: list[Any]) -> None:
    carol = as_role(accounts, "admin")
    alice = accounts.register()["user"]["id"]
    read(accounts, carol, ALL, user_id=alice)
    (line,) = [event for event in security_events if event["event"] == "security_events_read"]
    assert line["subject_id"] == UUID(alice)


# --- the job ----------------------------------------------------------------------------------------------------------


def test_events_are_deleted_after_400_days(accounts: Accounts) -> None:
    accounts.register()
    accounts.clock.advance(days=399)
    accounts.sign_in()
    accounts.clock.advance(days=1)
    with accounts.app.app_context():
        assert PURGES["purge_security_events"].run(accounts.clock) == 0
        assert PURGES["purge_security_events"].run(lambda: accounts.clock() + timedelta(seconds=1)) == 1
    assert accounts.events() == ["signed_in"]


def test_a_run_goes_on_until_no_old_event_is_left(accounts: Accounts) -> None:
    """A guesser with many addresses leaves more of them in an hour than one statement deletes."""
    accounts.register()
    accounts.query(
        "INSERT INTO security_events (id, occurred_at, event, detail)"
        " SELECT gen_random_uuid(), now() - interval '401 days', 'sign_in_failed', '{}' FROM generate_series(1, 10001)"
    )
    with accounts.app.app_context():
        assert PURGES["purge_security_events"].run(accounts.clock) == 10_001
    assert accounts.events() == ["registered"]
