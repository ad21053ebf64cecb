"""How many sessions are open, for whoever watches."""

from capabilities.terminal import TERMINAL
from capabilities.terminal.metrics import OPEN_SESSIONS
from capabilities.terminal.models import SessionState
from tests.capabilities.terminal.running_terminal import Customer, RunningTerminal
from tests.capabilities.terminal.test_close_left import made


def test_open_sessions_are_counted_by_state(running: RunningTerminal, alice: Customer) -> None:
    running.rows("DELETE FROM terminal_sessions")
    made(alice, "created", "active", "active", "detached", "closed")
    rows = running.rows(OPEN_SESSIONS.sql)
    assert {row["state"]: row["count"] for row in rows} == {
        "created": 1,
        "connecting": 0,
        "awaiting_host_key": 0,
        "awaiting_secret": 0,
        "active": 2,
        "detached": 1,
    }
    assert {row["state"] for row in rows} == set(SessionState) - {SessionState.CLOSED}
    assert OPEN_SESSIONS in running.made.built[TERMINAL].figures
