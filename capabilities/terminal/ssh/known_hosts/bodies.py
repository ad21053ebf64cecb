"""What the routes of known hosts take and answer."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from capabilities.terminal.models import HostKeySource, SshKnownHost
from capabilities.terminal.ssh.host_name import Host
from security.api.cursor import ListAnswer
from security.api.models import WHOLE, AnswerBody, Body

Port = Annotated[int, Field(ge=1, le=65535), WHOLE]
Fingerprint = Annotated[
    str,
    Field(pattern=r"^SHA256:[A-Za-z0-9+/]{43}$", examples=["SHA256:1Wq8zcBvRVKx4Q5J0w0a4oK3Fkq7hUtKbVb5O0mM2nY"]),
]


class AcceptHostKeyBody(Body):
    host: Host
    port: Port = 22
    fingerprint: Fingerprint
    """The one that you compared, as the test of a profile shows it."""


class KnownHostAnswer(AnswerBody):
    id: UUID
    host: str
    port: int
    algorithm: str
    fingerprint: str
    source: HostKeySource
    """Where you accepted it: `api` or `socket`."""
    accepted_at: datetime


class KnownHostsAnswer(ListAnswer):
    known_hosts: list[KnownHostAnswer]


def known_host_answer(row: SshKnownHost) -> KnownHostAnswer:
    return KnownHostAnswer(
        id=row.id,
        host=row.host,
        port=row.port,
        algorithm=row.algorithm,
        fingerprint=row.fingerprint,
        source=HostKeySource(row.source),
        accepted_at=row.accepted_at,
    )
