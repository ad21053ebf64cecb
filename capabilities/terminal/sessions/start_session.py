"""Opening the shell of a session: its server, the server's key, what lets the user in, and the user's answers in between."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID

from auth.assembly import Auth
from auth.principal import Principal
from capabilities.terminal.models import HostKeySource, SessionState
from capabilities.terminal.sessions.ask import Asking, Kind
from capabilities.terminal.sessions.live_session import LiveSession, Server
from capabilities.terminal.sessions.messages import HostKeyData, HostKeyShown, Prompt, PromptData, told
from capabilities.terminal.sessions.problems import NOT_CONNECTED
from capabilities.terminal.ssh.connect_limits import ConnectLimits
from capabilities.terminal.ssh.destinations import Destination, DestinationRefused, Destinations
from capabilities.terminal.ssh.failures import ConnectFailed, HostKeyChanged, HostKeyNotKnown
from capabilities.terminal.ssh.known_hosts.accept import accept_host_key
from capabilities.terminal.ssh.known_hosts.bodies import AcceptHostKeyBody
from capabilities.terminal.ssh.target import Target, note_connected, note_host_key, note_refused, read_target
from metering.sockets import Socket
from security.edge.problems import NotFound

if TYPE_CHECKING:
    from capabilities.terminal.ssh.connect import Connected

ANSWER_SECONDS: Final = 120.0


@dataclass(frozen=True)
class SessionStarts:
    """`seconds`: to connect and to sign in, and again for the shell, without those in which the user thinks."""

    auth: Auth
    destinations: Destinations
    limits: ConnectLimits
    seconds: float

    async def start(self, live: LiveSession, profile_id: UUID | None, socket: Socket) -> None:
        """`profile_id` None: it was deleted. Raises Problem, and leaves nothing open then."""
        if profile_id is None:
            raise NotFound("The SSH profile of this session was deleted")
        try:
            await _Start(self, live, profile_id, socket).run()
        except ConnectFailed as failed:
            raise NOT_CONNECTED[failed.code] from None


@dataclass(frozen=True)
class _Start:
    parts: SessionStarts
    live: LiveSession
    profile_id: UUID
    socket: Socket

    async def run(self) -> None:
        """Raises ConnectFailed, Problem."""
        from capabilities.terminal.sessions.shell import hang_up, open_shell  # noqa: PLC0415 - asyncssh

        live, parts = self.live, self.parts
        target = await self._target()
        connected = await self._connect(target)
        try:
            await self.socket.blocking(note_connected, parts.auth, target)
            shell = await open_shell(
                connected.connection, live, target.terminal_type, live.rows, live.cols, seconds=parts.seconds
            )
        except BaseException:
            hang_up(connected.connection)
            raise
        live.opened(self.socket, shell, Server(connected.server_version, connected.host_key.fingerprint))

    async def _target(self) -> Target:
        return await self.socket.blocking(read_target, self.parts.auth, self.live.user_id, self.profile_id)

    async def _connect(self, target: Target) -> "Connected":
        """Once more after the user has accepted the server's key: nobody is signed in before."""
        try:
            return await self._try(target)
        except HostKeyNotKnown as failed:
            await self.socket.blocking(note_host_key, self.parts.auth, target, failed)
            await self._accepted(target, failed)
            return await self._try(await self._target())

    async def _try(self, target: Target) -> "Connected":
        from capabilities.terminal.ssh.connect import connect  # noqa: PLC0415 - asyncssh

        self.live.becomes(SessionState.CONNECTING)
        await self.socket.blocking(self.parts.limits.count_user, self.live.user_id)
        destination = await self._destination(target)
        await self.socket.blocking(self.parts.limits.count_destination, destination)
        return await connect(target.account(destination), Asking(target.key, self._ask), seconds=self.parts.seconds)

    async def _destination(self, target: Target) -> Destination:
        try:
            return await self.parts.destinations.find(target.server)
        except DestinationRefused:
            await self.socket.blocking(note_refused, self.parts.auth, self.live.user_id)
            raise

    async def _accepted(self, target: Target, failed: HostKeyNotKnown) -> None:
        """Raises HostKeyChanged, and HostKeyUnknown when the user does not accept it in time."""
        key = failed.host_key
        changed = isinstance(failed, HostKeyChanged)
        data = HostKeyData(
            host=target.server.host,
            port=target.server.port,
            algorithm=key.algorithm,
            fingerprint=key.fingerprint,
            status="changed" if changed else "unknown",
        )
        self.socket.emit("host_key", told(HostKeyShown(session_id=self.live.id, data=data)))
        if changed:
            raise failed
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self.live.answer_to(SessionState.AWAITING_HOST_KEY, expected=key.fingerprint)
        except TimeoutError:
            raise failed from None
        caller = self.socket.caller
        assert isinstance(caller, Principal)  # API keys do not open terminals
        body = AcceptHostKeyBody(host=target.server.host, port=target.server.port, fingerprint=key.fingerprint)
        await self.socket.blocking(accept_host_key, self.parts.auth, caller, body, HostKeySource.SOCKET)

    async def _ask(self, kind: Kind, text: str, echo: bool) -> str:
        """Time runs in ssh/connect.py."""
        prompt = Prompt(session_id=self.live.id, data=PromptData(kind=kind, text=text, echo=echo))
        self.socket.emit("prompt", told(prompt))
        answer = await self.live.answer_to(SessionState.AWAITING_SECRET)
        self.live.becomes(SessionState.CONNECTING)
        return answer
