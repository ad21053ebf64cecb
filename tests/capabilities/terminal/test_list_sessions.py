"""GET /api/terminal/sessions, and one of them"""

from uuid import uuid4

import pytest

from tests.capabilities.terminal.running_terminal import SESSIONS, Customer


def test_sessions_are_listed_by_pages_and_the_ended_ones_too(alice: Customer, bob: Customer) -> None:
    profile_id = alice.profile()["id"]
    made = [alice.session(ssh_profile_id=profile_id) for _ in range(3)]
    bob.session()
    assert alice.call("DELETE", f"{SESSIONS}/{made[1]['id']}").status_code == 204
    made[1] = alice.shown(made[1]["id"])
    first = alice.call("GET", f"{SESSIONS}?limit=2").get_json()
    second = alice.call("GET", f"{SESSIONS}?limit=2&cursor={first['next_cursor']}").get_json()
    assert [*first["sessions"], *second["sessions"]] == made[::-1]
    assert second["next_cursor"] is None
    assert (made[1]["state"], made[1]["close_reason"]) == ("closed", "client")


def test_there_are_none_at_first(alice: Customer) -> None:
    assert alice.call("GET", SESSIONS).get_json() == {"sessions": [], "next_cursor": None}


def test_a_session_shows_what_became_of_it(alice: Customer) -> None:
    made = alice.session()
    alice.running.rows(
        "UPDATE terminal_sessions SET state = 'closed', rows = 40, cols = 120, last_seq = 2^40, bytes_in = 7, bytes_out = 2^40,"
        " opened_at = '2026-01-01', closed_at = '2026-01-02', close_reason = 'exit', exit_status = 130 WHERE id = %s",
        made["id"],
    )
    assert alice.shown(made["id"]) == {
        **made,
        "state": "closed",
        "rows": 40,
        "cols": 120,
        "last_seq": 2**40,
        "bytes_in": 7,
        "bytes_out": 2**40,
        "opened_at": "2026-01-01T00:00:00Z",
        "closed_at": "2026-01-02T00:00:00Z",
        "close_reason": "exit",
        "exit_status": 130,
    }


def test_a_session_stays_when_its_profile_is_deleted(alice: Customer) -> None:
    made = alice.session()
    assert alice.call("DELETE", f"/api/terminal/ssh/profiles/{made['ssh_profile_id']}").status_code == 204
    assert alice.shown(made["id"]) == {**made, "ssh_profile_id": None}


def test_that_of_somebody_else_is_404(alice: Customer, bob: Customer) -> None:
    for session_id in (bob.session()["id"], uuid4(), "1"):
        refused = alice.call("GET", f"{SESSIONS}/{session_id}")
        assert (refused.status_code, refused.get_json()["error"]) == (404, "not_found")


@pytest.mark.parametrize("query", ["cursor=1", "limit=0", "limit=201", "state=open", "limit=1&limit=2"])
def test_a_bad_query_is_refused(alice: Customer, query: str) -> None:
    assert alice.call("GET", f"{SESSIONS}?{query}").status_code == 422


def test_nobody_sees_them_without_signing_in(alice: Customer) -> None:
    for path in (SESSIONS, f"{SESSIONS}/{alice.session()['id']}"):
        assert alice.call("GET", path, token="x").status_code == 401
