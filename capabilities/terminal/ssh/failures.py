"""Why there is no connection. Clients are told these codes and nothing finer."""

from typing import ClassVar

from capabilities.terminal.ssh.host_key import HostKey


class ConnectFailed(Exception):
    code: ClassVar[str]


class Unreachable(ConnectFailed):
    """The name has no address, nothing answers there in time, or what answers does not speak SSH as we do."""

    code = "unreachable"


class HostKeyNotKnown(ConnectFailed):
    """The user has not accepted this key, so the server was told nothing: no user name and no secret."""

    def __init__(self, host_key: HostKey) -> None:
        super().__init__()
        self.host_key = host_key


class HostKeyUnknown(HostKeyNotKnown):
    """It is the first time, and the user decides."""

    code = "host_key_unknown"


class HostKeyChanged(HostKeyNotKnown):
    """The user accepted another key of this host. Only deleting that one helps."""

    code = "host_key_changed"


class AuthFailed(ConnectFailed):
    code = "auth_failed"


class ShellRefused(ConnectFailed):
    """The user is signed in, and the server gives no terminal: not every account may have one."""

    code = "shell_refused"
