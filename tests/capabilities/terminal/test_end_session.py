"""DELETE /api/terminal/sessions/{id}: the row is closed, and the process that has the session hears of it"""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID, uuid4

import pytest

from capabilities.terminal.models import CloseReason
from capabilities.terminal.sessions.end_session import SESSION_ENDED, end_session
from tests.capabilities.terminal.listener import listening
from tests.capabilities.terminal.running_terminal import SESSIONS, Customer


def opened(customer: Customer) -> UUID:
    """As when a server has let the user in."""
    session_id = customer.session()["id"]
    customer.running.rows("UPDATE terminal_sessions SET state = 'active', opened_at = now() WHERE id = %s", session_id)
    return UUID(session_id)


def test_it_is_closed_and_told_once(alice: Customer) -> None:
    session_id = alice.session()["id"]
    with listening(alice.running.url, SESSION_ENDED) as listener:
        ended = alice.call("DELETE", f"{SESSIONS}/{session_id}")
        assert (ended.status_code, ended.data) == (204, b"")
        assert listener.heard() == [session_id]
        closed = alice.shown(session_id)
        assert (closed["state"], closed["close_reason"], closed["exit_status"]) == ("closed", "client", None)
        assert alice.call("DELETE", f"{SESSIONS}/{session_id}").status_code == 204
        assert listener.heard() == []
    assert alice.shown(session_id) == closed


@pytest.mark.parametrize("state", ["connecting", "awaiting_host_key", "awaiting_secret", "active", "detached"])
def test_it_is_ended_in_every_state(alice: Customer, state: str) -> None:
    session_id = alice.session()["id"]
    detached = "now()" if state == "detached" else "NULL"
    alice.running.rows(
        f"UPDATE terminal_sessions SET state = %s, detached_at = {detached} WHERE id = %s", state, session_id
    )
    assert alice.call("DELETE", f"{SESSIONS}/{session_id}").status_code == 204
    closed = alice.shown(session_id)
    assert (closed["state"], closed["close_reason"], closed["detached_at"]) == ("closed", "client", None)


def test_that_of_somebody_else_is_404_and_goes_on(alice: Customer, bob: Customer) -> None:
    theirs = bob.session()
    with listening(alice.running.url, SESSION_ENDED) as listener:
        for session_id in (theirs["id"], uuid4(), "1"):
            refused = alice.call("DELETE", f"{SESSIONS}/{session_id}")
            assert (refused.status_code, refused.get_json()["error"]) == (404, "not_found")
        assert listener.heard() == []
    assert bob.shown(theirs["id"]) == theirs


def test_of_those_that_end_it_at_once_one_did(alice: Customer) -> None:
    session_id, clock, together = opened(alice), alice.running.made.auth.clock, Barrier(4)
    before = len(alice.events("terminal"))

    def end(_: int) -> bool:
        with alice.running.app.app_context():
            together.wait()
            return end_session(UUID(alice.id), session_id, CloseReason.CLIENT, clock())

    with ThreadPoolExecutor(4) as devices:
        assert sorted(devices.map(end, range(4))) == [False, False, False, True]
    assert len(alice.events("terminal")) == before + 1


def test_its_end_is_an_event_of_the_account(alice: Customer) -> None:
    session_id = opened(alice)
    with alice.running.app.app_context():
        assert end_session(None, session_id, CloseReason.EXIT, alice.running.made.auth.clock(), exit_status=3)
    assert alice.shown(str(session_id))["exit_status"] == 3
    told = {"terminal_session_id": str(session_id), "reason": "exit"}
    assert alice.events("terminal")[-1] == {"event": "terminal_session_closed", "detail": told}


def test_one_that_was_never_opened_leaves_no_event(alice: Customer) -> None:
    before = alice.events("terminal")
    assert alice.call("DELETE", f"{SESSIONS}/{alice.session()['id']}").status_code == 204
    assert alice.events("terminal") == before


def test_nobody_ends_one_without_signing_in(alice: Customer) -> None:
    made = alice.session()
    assert alice.call("DELETE", f"{SESSIONS}/{made['id']}", token="x").status_code == 401
    assert alice.shown(made["id"]) == made
