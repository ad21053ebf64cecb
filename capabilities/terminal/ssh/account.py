"""Where a user signs in on a server, and how."""

from collections.abc import Sequence
from dataclasses import dataclass

from capabilities.terminal.models import SshAuth
from capabilities.terminal.ssh.destinations import Destination
from capabilities.terminal.ssh.host_key import HostKey


@dataclass(frozen=True)
class Account:
    """`known`: the host keys that the user accepted there."""

    destination: Destination
    username: str
    auth: SshAuth
    known: Sequence[HostKey]
    keepalive_seconds: int = 15
