"""A stand-in for the servers that users connect to. It counts who comes, and can stall, hang up, or come back with another key."""

import asyncio
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum

import asyncssh

from database.loop_thread import LoopThread
from sandbox.ssh_programs import Program

USER = "deploy"
TOLD_SECONDS = 10.0


class Manner(StrEnum):
    SERVE = "serve"
    STALL = "stall"
    """Takes the connection and says nothing."""
    STALL_AT_SIGN_IN = "stall_at_sign_in"
    HANG_UP = "hang_up"
    HANG_UP_AT_SIGN_IN = "hang_up_at_sign_in"
    GARBAGE = "garbage"
    """Speaks something else."""


class SshServer:
    """`password` and `keys` (lines of `authorized_keys`) let `USER` in, and so do the right `answers` to `questions`. Whoever asks for
    a shell gets `program`.
    """

    def __init__(
        self,
        *,
        password: str | None = None,
        keys: Sequence[str] = (),
        questions: Sequence[tuple[str, bool]] = (),
        answers: Sequence[str] = (),
        host_key: str = "ssh-ed25519",
    ) -> None:
        self.password, self.keys, self.questions, self.answers = password, keys, questions, list(answers)
        self.manner = Manner.SERVE
        self.program = Program()
        self.connections = 0
        self.users: list[str] = []
        """Those that were named, each time."""
        self.user, self.port = USER, 0
        self.process = None
        """It has none of its own, as OpenSsh has."""
        self._loop = LoopThread("ssh-server")
        self._listener: socket.socket | None = None
        self._served: set[asyncssh.SSHServerConnection] = set()
        self._answers = threading.Event()
        self._key = asyncssh.generate_private_key(host_key)

    def start(self, address: str = "127.0.0.1", port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, port), family=family)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._loop.start(self._accept(self._listener))

    def stop(self) -> None:
        self._answers.set()
        self._loop.close()
        if self._listener is not None:
            self._listener.close()

    def let_in(self, line: str) -> None:
        self.keys = (*self.keys, line)

    def change_key(self, algorithm: str = "ssh-ed25519") -> None:
        """For those who come from now on."""
        self._key = asyncssh.generate_private_key(algorithm)

    def hang_up(self) -> None:
        """On all who are there."""
        self._loop.start(self._hang_up()).result(TOLD_SECONDS)

    def stop_answering(self) -> None:
        """All connections stay open and nobody listens at our end of them, until `stop`."""
        self._answers.clear()
        self._loop.start(self._be_silent())

    @property
    def fingerprint(self) -> str:
        return self._key.get_fingerprint()

    async def _hang_up(self) -> None:
        for connection in self._served:
            connection.abort()

    async def _be_silent(self) -> None:
        self._answers.wait()  # it holds up everything on this loop, and is meant to

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        open_ones = set()
        while True:
            client, _ = await loop.sock_accept(listener)
            self.connections += 1
            task = loop.create_task(self._serve(client))
            open_ones.add(task)
            task.add_done_callback(open_ones.discard)

    async def _serve(self, client: socket.socket) -> None:
        try:
            if self.manner is Manner.STALL:
                await asyncio.Event().wait()
            if self.manner is Manner.GARBAGE:
                await asyncio.get_running_loop().sock_sendall(client, b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(9000))
            if self.manner in {Manner.HANG_UP, Manner.GARBAGE}:
                return
            with suppress(OSError, asyncssh.Error):
                connection = await asyncssh.run_server(
                    client,
                    config=None,
                    server_factory=lambda: _Doorkeeper(self),
                    server_host_keys=[self._key],
                    process_factory=self.program.serve,
                    encoding=None,
                    line_editor=False,
                    gss_host=None,
                )
                self._served.add(connection)
                try:
                    await connection.wait_closed()
                finally:
                    self._served.discard(connection)
                    connection.abort()
                    await connection.wait_closed()
        finally:
            client.close()


class _Doorkeeper(asyncssh.SSHServer):
    def __init__(self, server: SshServer) -> None:
        self._server = server
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    async def begin_auth(self, username: str) -> bool:
        self._server.users.append(username)
        if self._server.manner is Manner.STALL_AT_SIGN_IN and self._connection is not None:
            await self._connection.wait_closed()
        if self._server.manner is Manner.HANG_UP_AT_SIGN_IN and self._connection is not None:
            self._connection.abort()
        return True

    def password_auth_supported(self) -> bool:
        return self._server.password is not None

    def validate_password(self, username: str, password: str) -> bool:
        return username == USER and password == self._server.password

    def public_key_auth_supported(self) -> bool:
        return bool(self._server.keys)

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        allowed = [asyncssh.import_public_key(line) for line in self._server.keys]
        return username == USER and key in allowed

    def kbdint_auth_supported(self) -> bool:
        return bool(self._server.questions)

    def get_kbdint_challenge(
        self, username: str, lang: str, submethods: str
    ) -> tuple[str, str, str, list[tuple[str, bool]]]:
        return "", "", "", list(self._server.questions)

    def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> bool:
        return username == USER and list(responses) == self._server.answers
