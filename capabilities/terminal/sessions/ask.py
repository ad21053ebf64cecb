"""What a server wants to know before it lets somebody in, asked over the socket of a session."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from auth.device import printable
from capabilities.terminal.ssh.target import StoredKey

if TYPE_CHECKING:
    from asyncssh import SSHKey

TRIES: Final = 3
MOST_QUESTIONS: Final = 10
"""At once. More than a password and a code are not seen in earnest."""

Kind = Literal["password", "passphrase", "keyboard"]


@dataclass
class Asking:
    """ssh.credentials.Credentials. `ask` waits for the user, and is cancelled with the connection. Nothing of the answers is kept.

    Three wrong answers are the end. Where a server asks by itself, a password and a code may be a question each.
    """

    key: StoredKey | None
    ask: Callable[[Kind, str, bool], Awaitable[str]]
    _rounds: int = 0
    _most: int = TRIES * 2

    async def private_key(self) -> "SSHKey | None":
        from capabilities.terminal.ssh.keys.read_key import WrongPassphrase, open_key_file  # noqa: PLC0415 - asyncssh

        if self.key is None:
            return None
        has_passphrase = self.key.has_passphrase
        for _ in range(TRIES if has_passphrase else 1):
            passphrase = await self.ask("passphrase", "Passphrase of your SSH key", False) if has_passphrase else None
            try:
                return await asyncio.to_thread(open_key_file, self.key.file, passphrase, self.key.fingerprint)
            except WrongPassphrase:
                continue
        self._most = 0
        return None

    async def password(self) -> str | None:
        self._most = TRIES
        return await self.ask("password", "Password", False) if self._once_more() else None

    async def answers(self, name: str, instructions: str, prompts: Sequence[tuple[str, bool]]) -> Sequence[str] | None:
        if not self._once_more() or len(prompts) > MOST_QUESTIONS:
            return None
        said = " ".join(text for text in (name, instructions) if text)
        return [await self.ask("keyboard", _shown(f"{said} {text}".strip()), echo) for text, echo in prompts]

    def _once_more(self) -> bool:
        self._rounds += 1
        return self._rounds <= self._most


def _shown(text: str) -> str:
    """A server may send anything."""
    return printable(text) or ""
