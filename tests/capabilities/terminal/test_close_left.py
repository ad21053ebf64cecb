"""What a realtime process does at its start about the sessions that its predecessor left."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from capabilities.terminal.sessions.close_left import BATCH, close_left
from capabilities.terminal.sessions.end_session import SESSION_ENDED
from tests.capabilities.terminal.listener import listening
from tests.capabilities.terminal.running_terminal import Customer, RunningTerminal
from tests.capabilities.terminal.test_open_session import states

LEFT = ["connecting", "awaiting_host_key", "awaiting_secret", "active", "detached"]


@pytest.fixture(autouse=True)
def _alone(running: RunningTerminal) -> Iterator[None]:
    """Everybody's are closed."""
    running.rows("DELETE FROM terminal_sessions")
    with running.app.app_context():
        yield


def made(customer: Customer, *states_of_rows: str) -> list[UUID]:
    statement = """INSERT INTO terminal_sessions (id, user_id, state, rows, cols, created_at, detached_at, closed_at, close_reason)
        SELECT gen_random_uuid(), %s, state, 24, 80, now(), CASE state WHEN 'detached' THEN now() END,
               CASE state WHEN 'closed' THEN now() END, CASE state WHEN 'closed' THEN 'exit' END
        FROM unnest(%s) AS wanted (state) RETURNING id"""
    return [UUID(row["id"]) for row in customer.running.rows(statement, customer.id, list(states_of_rows))]


def close(running: RunningTerminal, *own_ids: UUID) -> int:
    return close_left(own_ids, running.made.auth.clock())


def test_all_that_were_connected_are_closed_and_the_others_stay(running: RunningTerminal, alice: Customer) -> None:
    made(alice, *LEFT, "created", "closed")
    assert close(running) == len(LEFT)
    expected = [("closed", "server_restart")] * len(LEFT) + [("closed", "exit"), ("created", None)]
    assert sorted(states(alice), key=str) == sorted(expected, key=str)
    assert close(running) == 0


def test_those_that_this_process_has_go_on(running: RunningTerminal, alice: Customer, bob: Customer) -> None:
    own, _ = made(alice, "active", "detached")
    (other,) = made(bob, "active")
    with listening(running.url, SESSION_ENDED) as listener:
        assert close(running, own) == 2
        assert len(listener.heard()) == 2
    assert alice.shown(str(own))["state"] == "active"
    assert bob.shown(str(other))["close_reason"] == "server_restart"


def test_one_that_cannot_be_closed_holds_up_no_other(running: RunningTerminal, alice: Customer) -> None:
    _, bad, _ = made(alice, "active", "active", "active")
    running.rows(f"ALTER TABLE terminal_sessions ADD CONSTRAINT spoiled CHECK (id <> '{bad}' OR state <> 'closed')")
    try:
        assert close(running) == 2
    finally:
        running.rows("ALTER TABLE terminal_sessions DROP CONSTRAINT spoiled")
    assert alice.shown(str(bad))["state"] == "active"
    noted = running.rows("SELECT item FROM passed_over_items WHERE batch = %s", BATCH)
    assert noted == [{"item": str(bad)}]
    running.rows("DELETE FROM passed_over_items WHERE batch = %s", BATCH)
