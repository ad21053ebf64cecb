"""How requests about sessions are refused."""

from capabilities.terminal.models import CloseReason
from security.edge.problems import Problem


class TooManySessions(Problem):
    status, error = 409, "too_many_sessions"
    title = "Your plan allows no more sessions at once. End one first"


class LocalTerminalOff(Problem):
    status, error, title = 403, "local_terminal_off", "Terminals lead to your own servers only. Use an SSH profile"


class SessionTaken(Problem):
    """It was connected before, so it is no session to connect: it is resumed in the process that has it."""

    status, error, title = 409, "session_taken", "This session is already connected"


class SessionClosed(Problem):
    """`reason` and `exit_status` are those of the row."""

    status, error, title = 409, "session_closed", "This session has ended. Open a new one"

    def __init__(self, reason: CloseReason, exit_status: int | None) -> None:
        super().__init__(reason=reason.value, exit_status=exit_status)
        self.reason, self.exit_status = reason, exit_status
