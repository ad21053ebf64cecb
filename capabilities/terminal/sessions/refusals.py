"""How messages about sessions are refused."""

from security.edge.problems import Problem


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

    def __init__(self, received: int) -> None:
        super().__init__(input_seq=received)


class SeqUnknown(Problem):
    status, error, title = 409, "seq_unknown", "There has not been so much output"

    def __init__(self, end: int) -> None:
        super().__init__(seq=end)


class NothingAsked(Problem):
    status, error, title = 409, "nothing_asked", "This session does not wait for an answer"


class OtherHostKey(Problem):
    status, error, title = 409, "other_host_key", "This is not the fingerprint that the server showed"


class NotConnected(Problem):
    """Why a session could not be opened: see ssh/failures.py."""

    status = 502

    def __init__(self, code: str) -> None:
        super().__init__(WHY[code])
        self.error = code  # type: ignore[misc] - one class for all, since clients only compare the code


WHY = {
    "unreachable": "The server cannot be reached, or does not speak SSH",
    "host_key_unknown": "The server's host key was not accepted",
    "host_key_changed": "The server's host key has changed. If you know why, delete the known host and connect again",
    "auth_failed": "The server did not let you in",
    "shell_refused": "The server let you in but gave you no terminal",
}
