"""What the routes of private keys take and answer."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Discriminator, Field, SecretStr, Tag

from auth.bodies import Name
from capabilities.terminal.models import SshKey
from security.api.cursor import ListAnswer
from security.api.models import AnswerBody, Body, OneOfBody

LONGEST_FILE = 10_000
"""Characters. An RSA key of 8,192 bits has 6,500."""

KeyFile = Annotated[SecretStr, Field(min_length=1, max_length=LONGEST_FILE)]


class UploadKeyBody(Body):
    name: Name
    private_key: KeyFile
    """The content of the file, in OpenSSH or PEM format. It is stored encrypted and never shown again. A passphrase stays on it, and
    you enter that when you connect."""


class GenerateKeyBody(Body):
    name: Name
    generate: Literal["ed25519"]
    """Makes a new key here. Nobody can download its private part."""


def _form_of(document: Any) -> str | None:
    members = document.keys() if isinstance(document, dict) else set()
    uploads = "private_key" in members
    return ("upload" if uploads else "generate") if uploads != ("generate" in members) else None


ONE_WAY = Discriminator(
    _form_of, custom_error_type="one_of", custom_error_message="Send either private_key or generate"
)


class NewSshKeyBody(
    OneOfBody[Annotated[Annotated[UploadKeyBody, Tag("upload")] | Annotated[GenerateKeyBody, Tag("generate")], ONE_WAY]]
):
    """Send `private_key` to store a key that you have, or `generate` for a new one."""


class SshKeyAnswer(AnswerBody):
    id: UUID
    name: str
    type: str
    """Such as `ssh-ed25519`."""
    public_key: str
    """The line for `~/.ssh/authorized_keys` on your server."""
    fingerprint: str
    has_passphrase: bool
    """Whether you are asked for a passphrase when you connect."""
    created_at: datetime
    last_used_at: datetime | None


class SshKeysAnswer(ListAnswer):
    keys: list[SshKeyAnswer]


def key_answer(row: SshKey) -> SshKeyAnswer:
    return SshKeyAnswer(
        id=row.id,
        name=row.name,
        type=row.type,
        public_key=row.public_key,
        fingerprint=row.fingerprint,
        has_passphrase=row.has_passphrase,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
    )
