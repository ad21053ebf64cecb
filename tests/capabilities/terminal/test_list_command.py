"""`flask terminal list`"""

import pytest

from tests.capabilities.terminal.running_terminal import SESSIONS, Customer, RunningTerminal


@pytest.fixture(autouse=True)
def _no_others(running: RunningTerminal) -> None:
    running.rows("DELETE FROM terminal_sessions")


def listed(running: RunningTerminal) -> list[list[str]]:
    done = running.app.test_cli_runner().invoke(args=["terminal", "list"])
    assert done.exit_code == 0, done.output
    return [line.split() for line in done.output.splitlines()]


def test_open_sessions_of_everybody_are_shown(running: RunningTerminal, alice: Customer, bob: Customer) -> None:
    first, ended, last = alice.session(), alice.session(), bob.session()
    alice.call("DELETE", f"{SESSIONS}/{ended['id']}")
    running.rows("UPDATE terminal_sessions SET state = 'awaiting_host_key' WHERE id = %s", last["id"])
    emails = {str(row["id"]): row["email"] for row in running.rows("SELECT id, email FROM users")}
    lines = listed(running)
    assert [(line[0], line[1], line[-1]) for line in lines] == [
        (first["id"], "created", emails[alice.id]),
        (last["id"], "awaiting_host_key", emails[bob.id]),
    ]


def test_there_may_be_none(running: RunningTerminal) -> None:
    assert listed(running) == []
