"""Trying a profile: connect, judge the host key, sign in, hang up. No shell is opened and nothing is run."""

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from auth.assembly import Auth
from auth.principal import Principal
from capabilities.terminal.ssh.account import Account
from capabilities.terminal.ssh.connect_limits import ConnectLimits
from capabilities.terminal.ssh.credentials import Credentials
from capabilities.terminal.ssh.destinations import Destination, DestinationRefused, Destinations
from capabilities.terminal.ssh.failures import ConnectFailed, HostKeyNotKnown, Unreachable
from capabilities.terminal.ssh.host_key import HostKey
from capabilities.terminal.ssh.host_name import Server
from capabilities.terminal.ssh.profiles.bodies import ShownHostKey, SshTestAnswer, SshTestBody, SshTestCode
from capabilities.terminal.ssh.target import (
    StoredKey,
    note_connected,
    note_host_key,
    note_refused,
    read_target,
)
from database.loop_thread import LoopClosed, LoopThread
from security.edge.problems import TooBusy

if TYPE_CHECKING:
    from asyncssh import SSHKey

Result = TypeVar("Result")


@dataclass
class Typed:
    """What came with the request. Each is tried once. To several questions a password is no answer."""

    key: StoredKey | None
    passphrase: str | None = field(repr=False)
    _password: str | None = field(repr=False)

    async def private_key(self) -> "SSHKey | None":
        from capabilities.terminal.ssh.keys.read_key import WrongPassphrase, open_key_file  # noqa: PLC0415 - asyncssh

        if self.key is None:
            return None
        try:
            return await asyncio.to_thread(open_key_file, self.key.file, self.passphrase, self.key.fingerprint)
        except WrongPassphrase:
            return None

    async def password(self) -> str | None:
        password, self._password = self._password, None
        return password

    async def answers(self, name: str, instructions: str, prompts: Sequence[tuple[str, bool]]) -> Sequence[str] | None:
        if len(prompts) != 1 or prompts[0][1] or (password := await self.password()) is None:
            return None
        return [password]


@dataclass(frozen=True)
class Tried:
    host_key: HostKey
    server_version: str
    latency_ms: int


@dataclass(frozen=True)
class Tries:
    """`seconds`: to connect and to sign in."""

    auth: Auth
    loop: LoopThread
    destinations: Destinations
    limits: ConnectLimits
    seconds: float

    def judge(self, user_id: UUID, server: Server) -> Destination | None:
        """Whether terminals may connect there. None for a name that has no address now. Raises DestinationRefused."""
        try:
            return self._wait(self.destinations.find(server))
        except Unreachable:
            return None
        except DestinationRefused:
            note_refused(self.auth, user_id)
            raise

    def connection(self, caller: Principal, profile_id: UUID, body: SshTestBody) -> SshTestAnswer:
        """Raises NotFound, DestinationRefused, TooManyRequests, TooBusy."""
        target = read_target(self.auth, caller.user_id, profile_id)
        self.limits.count_user(caller.user_id)
        destination = self.judge(caller.user_id, target.server)
        if destination is None:
            return _failed(Unreachable())
        self.limits.count_destination(destination)
        typed = Typed(target.key, _text(body.passphrase), _text(body.password))
        try:
            tried = self._wait(_try(target.account(destination), typed, self.seconds))
        except ConnectFailed as failed:
            if isinstance(failed, HostKeyNotKnown):
                note_host_key(self.auth, target, failed)
            return _failed(failed)
        note_connected(self.auth, target)
        return SshTestAnswer(
            ok=True,
            code=None,
            latency_ms=tried.latency_ms,
            server_version=tried.server_version,
            host_key=_shown(tried.host_key, known=True),
        )

    def _wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Everything that is done there ends in time by itself. Raises TooBusy."""
        try:
            return self.loop.start(work).result()
        except (LoopClosed, CancelledError):
            raise TooBusy("The server is restarting. Try again in a moment") from None


async def _try(account: Account, credentials: Credentials, seconds: float) -> Tried:
    from capabilities.terminal.ssh.connect import connect  # noqa: PLC0415 - asyncssh

    connected = await connect(account, credentials, seconds=seconds)
    connected.connection.close()
    return Tried(connected.host_key, connected.server_version, connected.latency_ms)


def _failed(failed: ConnectFailed) -> SshTestAnswer:
    shown = _shown(failed.host_key, known=False) if isinstance(failed, HostKeyNotKnown) else None
    return SshTestAnswer(ok=False, code=SshTestCode(failed.code), latency_ms=None, server_version=None, host_key=shown)


def _shown(key: HostKey, *, known: bool) -> ShownHostKey:
    return ShownHostKey(algorithm=key.algorithm, fingerprint=key.fingerprint, known=known)


def _text(secret: Any) -> str | None:
    return None if secret is None else secret.get_secret_value()
