"""One SSH connection to an address that was checked. A coroutine, for whatever loop: of the web process or of `realtime`.

Importing it loads asyncssh, a quarter of a second, so the web process does that when somebody first needs it.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final, TypeVar

import asyncssh

from capabilities.terminal.models import SshAuth
from capabilities.terminal.ssh.account import Account
from capabilities.terminal.ssh.allowed_addresses import Address
from capabilities.terminal.ssh.credentials import Credentials
from capabilities.terminal.ssh.destinations import Destination
from capabilities.terminal.ssh.failures import (
    AuthFailed,
    ConnectFailed,
    HostKeyChanged,
    HostKeyUnknown,
    Unreachable,
)
from capabilities.terminal.ssh.host_key import HostKey

asyncssh.set_log_level("CRITICAL")
"""Or each connection would log its host and its user, and a server could fill the log with its faults."""

TYPING_SECONDS: Final = 120.0
"""How long a user may take to answer. Servers wait as long (OpenSSH, LoginGraceTime)."""
KEEPALIVES: Final = 3
"""Without an answer. Then the server is lost."""
METHODS: Final = {
    SshAuth.PASSWORD: ("password", "keyboard-interactive"),  # many servers ask for the password by the latter alone
    SshAuth.KEY: ("publickey", "keyboard-interactive"),  # and then for a code
    SshAuth.KEYBOARD: ("keyboard-interactive",),
}
KEX: Final = (
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group14-sha256",
)
"""Each takes milliseconds. With the larger groups, or one that the server chooses, a server could hold up the loop."""
CIPHERS: Final = (
    "aes256-gcm@openssh.com",
    "aes128-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
)
"""Those of asyncssh, which would take ChaCha20 first. Here GCM takes a third less processor time for each key that is pressed."""
SIGNATURES: Final = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}
"""Of host keys, by their algorithm. No certificates: what the user accepts is a key."""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Connected:
    """`latency_ms`: of the connection alone. `server_version` is what the server says of itself."""

    connection: asyncssh.SSHClientConnection
    host_key: HostKey
    server_version: str
    latency_ms: int


async def connect(account: Account, credentials: Credentials, *, seconds: float) -> Connected:
    """Connect and sign in; nothing is run and no shell opened. Whoever gets the connection closes it.

    `seconds` are for all of it, without those in which `credentials` are waited for. Raises ConnectFailed: Unreachable,
    HostKeyUnknown, HostKeyChanged, AuthFailed.
    """
    client: _Client | None = None
    try:
        async with asyncio.timeout(seconds) as limit:
            client = _Client(account, credentials, limit)
            began = monotonic()
            reached = await _reach(account.destination, seconds)
            latency_ms = round((monotonic() - began) * 1000)
            connection = await _sign_in(account, client, reached)
    except (OSError, ValueError, asyncssh.Error) as error:  # TimeoutError is an OSError
        raise _told(error, client) from error
    assert client.host_key is not None
    version = connection.get_extra_info("server_version", "")
    return Connected(connection, client.host_key, _printable(version), latency_ms)


async def _reach(destination: Destination, seconds: float) -> socket.socket:
    """Connected to the first address that answers. Each has its share of the time. Raises OSError."""
    *others, last = destination.addresses
    for address in others:
        with suppress(OSError):
            async with asyncio.timeout(seconds / len(destination.addresses)):
                return await _reach_address(address, destination.server.port)
    return await _reach_address(last, destination.server.port)


async def _reach_address(address: Address, port: int) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    reached = socket.socket(family, socket.SOCK_STREAM)
    try:
        reached.setblocking(False)
        reached.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(reached, (str(address), port))
    except BaseException:
        reached.close()
        raise
    return reached


async def _sign_in(account: Account, client: "_Client", reached: socket.socket) -> asyncssh.SSHClientConnection:
    """Everything that asyncssh would look for on this machine is switched off: its configuration, keys, agent, known hosts."""
    first = [name for known in account.known for name in SIGNATURES.get(known.algorithm, ())]
    every = [name for names in SIGNATURES.values() for name in names]
    try:
        return await asyncssh.connect(
            account.destination.server.host,
            account.destination.server.port,
            sock=reached,
            config=None,
            client_factory=lambda: client,
            known_hosts=([], [], []),
            server_host_key_algs=list(dict.fromkeys((*first, *every))),
            kex_algs=KEX,
            encryption_algs=CIPHERS,
            compression_algs=None,
            x509_trusted_certs=None,
            username=account.username,
            client_username="",
            client_keys=None,
            client_host_keys=None,
            agent_path=None,
            agent_forwarding=False,
            pkcs11_provider=None,
            gss_host=None,
            gss_kex=False,
            gss_auth=False,
            host_based_auth=False,
            preferred_auth=METHODS[account.auth],
            login_timeout=0,
            keepalive_interval=account.keepalive_seconds,
            keepalive_count_max=KEEPALIVES,
        )
    except BaseException:
        reached.close()
        raise


class _Client(asyncssh.SSHClient):
    """Judges the host key, then hands over what the user signs in with."""

    def __init__(self, account: Account, credentials: Credentials, limit: asyncio.Timeout) -> None:
        self.host_key: HostKey | None = None
        self.failed: ConnectFailed | None = None
        self.signing_in = False
        self._account = account
        self._credentials = credentials
        self._limit = limit
        self._key_tried = False
        self._asks = True

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """A known host that shows a key of another kind has changed too: otherwise an intruder would only have to choose one."""
        shown = HostKey(key.get_algorithm(), key.public_data, key.get_fingerprint())
        if any(known.key == shown.key for known in self._account.known):
            self.host_key = shown
            return True
        self.failed = HostKeyChanged(shown) if self._account.known else HostKeyUnknown(shown)
        return False

    def begin_auth(self, username: str) -> None:
        self.signing_in = True

    async def public_key_auth_requested(self) -> asyncssh.SSHKey | None:
        if self._key_tried:
            return None
        self._key_tried = True
        return await self._typed(self._credentials.private_key())

    async def password_auth_requested(self) -> str | None:
        return await self._typed(self._credentials.password())

    def kbdint_auth_requested(self) -> str | None:
        """Once more only if the server asked something the last time: one that never does would be tried for ever."""
        again, self._asks = self._asks, False
        return "" if again else None

    async def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> Sequence[str] | None:
        self._asks = True
        if not prompts:
            return ()  # it only tells something
        return await self._typed(self._credentials.answers(name, instructions, prompts))

    async def _typed(self, answer: Awaitable[Answer]) -> Answer:
        """What the user takes for it is not counted."""
        loop = asyncio.get_running_loop()
        until = self._limit.when()
        assert until is not None
        left = until - loop.time()
        self._limit.reschedule(loop.time() + TYPING_SECONDS)
        try:
            return await answer
        finally:
            with suppress(RuntimeError):  # the server hung up meanwhile, and there is no limit any more
                self._limit.reschedule(loop.time() + left)


def _told(error: Exception, client: "_Client | None") -> ConnectFailed:
    if client is not None and client.failed is not None:
        return client.failed
    if client is not None and client.signing_in and not isinstance(error, TimeoutError):
        return AuthFailed()  # servers also hang up after too many tries
    return Unreachable()


def _printable(version: object) -> str:
    """RFC 4253, 4.2: ASCII of at most 255 characters. A server may send anything."""
    return re.sub(r"[^ -~]", "?", str(version))[:255]
