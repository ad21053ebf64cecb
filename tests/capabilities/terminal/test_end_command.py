"""`flask terminal end`"""

from uuid import uuid4

from capabilities.terminal.sessions.end_session import SESSION_ENDED
from tests.capabilities.terminal.listener import listening
from tests.capabilities.terminal.running_terminal import Customer, RunningTerminal


def end(running: RunningTerminal, session_id: object) -> tuple[int, str]:
    done = running.app.test_cli_runner().invoke(args=["terminal", "end", str(session_id)])
    return done.exit_code, done.output


def test_a_session_is_ended_wherever_it_runs(running: RunningTerminal, alice: Customer) -> None:
    session_id = alice.session()["id"]
    with listening(running.url, SESSION_ENDED) as listener:
        assert end(running, session_id) == (0, f"{session_id} has ended.\n")
        assert listener.heard() == [session_id]
        assert end(running, session_id) == (0, f"{session_id} had ended before.\n")
        assert listener.heard() == []
    assert alice.shown(session_id)["close_reason"] == "admin"


def test_an_id_of_no_session_is_refused(running: RunningTerminal) -> None:
    assert end(running, uuid4()) == (1, "Error: No session has this ID.\n")
    assert end(running, "1")[0] == 2
