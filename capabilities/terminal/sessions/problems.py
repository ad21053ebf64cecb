"""How requests and messages about sessions are refused."""

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


class SessionUnknown(Problem):
    """Also somebody else's."""

    status, error, title = 404, "session_unknown", "You have no such session"


class NotAttached(Problem):
    status, error, title = 409, "not_attached", "This socket does not have this session. Send resume or connect first"


class NotReady(Problem):
    status, error, title = 409, "not_ready", "This session is not open"


class InputFull(Problem):
    status, error, title = 429, "input_full", "The server does not take more input at the moment. Send it again later"


class InputGap(Problem):
    status, error, title = 409, "input_gap", "Inputs are missing before this one. Send them again in their order"


class SeqUnknown(Problem):
    status, error, title = 409, "seq_unknown", "There has not been so much output"


class NothingAsked(Problem):
    status, error, title = 409, "nothing_asked", "This session does not wait for an answer"


class OtherHostKey(Problem):
    status, error, title = 409, "other_host_key", "This is not the fingerprint that the server showed"


class NotConnected(Problem):
    """Why no shell could be opened: ssh/failures.py with the same codes."""

    status = 502


class ServerUnreachable(NotConnected):
    error, title = "unreachable", "The server cannot be reached, or does not speak SSH"


class HostKeyNotAccepted(NotConnected):
    error, title = "host_key_unknown", "The server's host key was not accepted"


class OtherHostKeyThanKnown(NotConnected):
    status, error = 409, "host_key_changed"
    title = "The server's host key has changed. If you know why, delete the known host and connect again"


class SignInRefused(NotConnected):
    status, error, title = 403, "auth_failed", "The server did not let you in"


class NoShell(NotConnected):
    status, error, title = 403, "shell_refused", "The server let you in, but gave you no terminal"


NOT_CONNECTED = {
    problem.error: problem
    for problem in (ServerUnreachable, HostKeyNotAccepted, OtherHostKeyThanKnown, SignInRefused, NoShell)
}
