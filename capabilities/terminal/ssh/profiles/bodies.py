"""What the routes of profiles take and answer."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, SecretStr, model_validator

from auth.bodies import Name
from capabilities.terminal.models import SshAuth, SshProfile
from capabilities.terminal.ssh.host_name import Host
from capabilities.terminal.ssh.known_hosts.bodies import Port
from security.api.cursor import ListAnswer
from security.api.models import WHOLE, AnswerBody, Body

Username = Annotated[str, Field(pattern=r"^[!-~]{1,64}$", examples=["deploy"])]
TerminalType = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9+._-]{0,39}$")]
Keepalive = Annotated[int, Field(ge=5, le=300), WHOLE]
TypedSecret = Annotated[SecretStr, Field(min_length=1, max_length=1024)]


class SshProfileBody(Body):
    name: Name
    host: Host
    """A host name or an IP address, without a port."""
    port: Port = 22
    username: Username
    auth: SshAuth
    """How you sign in there. `keyboard`: you answer whatever the server asks, such as a password and a code."""
    ssh_key_id: UUID | None = None
    """One of your SSH keys. Needed with `key`, and only then."""
    terminal_type: TerminalType = "xterm-256color"
    keepalive_seconds: Keepalive = 15
    """The connection is lost when the server does not react three times in a row, asked so often."""

    @model_validator(mode="after")
    def _has_key_if_by_key(self) -> Self:
        if (self.auth is SshAuth.KEY) != (self.ssh_key_id is not None):
            raise ValueError("Send ssh_key_id with the auth key, and only then")
        return self


class SshProfileAnswer(AnswerBody):
    id: UUID
    name: str
    host: str
    port: int
    username: str
    auth: SshAuth
    ssh_key_id: UUID | None
    terminal_type: str
    keepalive_seconds: int
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None
    """When a connection last came about."""


class SshProfilesAnswer(ListAnswer):
    profiles: list[SshProfileAnswer]


class SshTestBody(Body):
    """Both are used once and kept nowhere."""

    passphrase: TypedSecret | None = None
    """Of the key, if it has one."""
    password: TypedSecret | None = None
    """For the account on the server."""


class SshTestCode(StrEnum):
    UNREACHABLE = "unreachable"
    HOST_KEY_UNKNOWN = "host_key_unknown"
    HOST_KEY_CHANGED = "host_key_changed"
    AUTH_FAILED = "auth_failed"


class ShownHostKey(AnswerBody):
    algorithm: str
    fingerprint: str
    known: bool
    """Whether you accepted it."""


class SshTestAnswer(AnswerBody):
    ok: bool
    code: SshTestCode | None
    """Why it did not work. Null if it did."""
    latency_ms: int | None
    """How long the server took to take the connection."""
    server_version: str | None
    """What the server says of itself."""
    host_key: ShownHostKey | None
    """The key that the server showed. Null if it was not reached, or did not let you in."""


def profile_answer(row: SshProfile) -> SshProfileAnswer:
    return SshProfileAnswer(
        id=row.id,
        name=row.name,
        host=row.host,
        port=row.port,
        username=row.username,
        auth=SshAuth(row.auth),
        ssh_key_id=row.ssh_key_id,
        terminal_type=row.terminal_type,
        keepalive_seconds=row.keepalive_seconds,
        created_at=row.created_at,
        updated_at=row.updated_at,
        last_used_at=row.last_used_at,
    )
