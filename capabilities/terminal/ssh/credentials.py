"""What a user signs in to a server with, asked for when the server wants it and never before its host key is known."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncssh import SSHKey


class Credentials(Protocol):
    """None: there is nothing (more) to try. Each may be asked again, when what it gave was wrong."""

    async def private_key(self) -> "SSHKey | None": ...

    async def password(self) -> str | None: ...

    async def answers(self, name: str, instructions: str, prompts: Sequence[tuple[str, bool]]) -> Sequence[str] | None:
        """To what the server asks (RFC 4256): each prompt with whether the answer may be shown. One answer for each."""
