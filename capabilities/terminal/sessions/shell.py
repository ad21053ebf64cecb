"""A shell on a server, behind a terminal of its own (PTY). Importing it loads asyncssh."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final, Protocol

import asyncssh

from capabilities.terminal.ssh.failures import ShellRefused

WINDOW: Final = 256 * 1024
"""Bytes that a server may send while nobody reads. asyncssh would let 2 MiB come."""
MOST_UNTAKEN: Final = 256 * 1024
"""Bytes of input that wait for the server to take them."""
GOODBYE_SECONDS: Final = 5.0


@dataclass(frozen=True)
class ShellEnd:
    """`lost`: the connection broke. Otherwise the shell ended, with a status or by a signal if the server tells."""

    lost: bool
    status: int | None = None
    signal: str | None = None


class Display(Protocol):
    """What a shell is shown on."""

    def output(self, data: bytes) -> None: ...

    def shell_ended(self, end: ShellEnd) -> None:
        """After the last output. Called once."""


class Shell:
    def __init__(self, connection: asyncssh.SSHClientConnection, channel: "asyncssh.SSHClientChannel[bytes]") -> None:
        self._connection, self._channel = connection, channel
        self._paused = False

    @property
    def is_full(self) -> bool:
        """So much of what was written waits for the server that nothing more should be."""
        return self._channel.get_write_buffer_size() > MOST_UNTAKEN

    def write(self, data: bytes) -> None:
        if not self._channel.is_closing():
            self._channel.write(data)

    def resize(self, rows: int, cols: int) -> None:
        if not self._channel.is_closing():
            self._channel.change_terminal_size(cols, rows)

    def pause(self, paused: bool) -> None:
        """Whether its output waits at the server."""
        if paused != self._paused and not self._channel.is_closing():
            self._paused = paused
            if paused:
                self._channel.pause_reading()
            else:
                self._channel.resume_reading()

    def hang_up(self) -> None:
        """What runs on the server gets SIGHUP."""
        hang_up(self._connection)


async def open_shell(
    connection: asyncssh.SSHClientConnection,
    display: Display,
    terminal_type: str,
    rows: int,
    cols: int,
    *,
    seconds: float,
) -> Shell:
    """Raises ShellRefused. Nothing of this machine's environment is sent, and nothing forwarded."""
    try:
        async with asyncio.timeout(seconds):
            channel, _ = await connection.create_session(
                lambda: _Ears(connection, display),
                request_pty="force",
                term_type=terminal_type,
                term_size=(cols, rows),
                env=None,
                send_env=None,
                x11_forwarding=False,
                encoding=None,
                window=WINDOW,
            )
    except (OSError, asyncssh.Error) as error:  # TimeoutError is an OSError
        raise ShellRefused from error
    return Shell(connection, channel)


def hang_up(connection: asyncssh.SSHClientConnection) -> None:
    """A server that does not take its leave is left without."""
    connection.close()
    asyncio.get_running_loop().call_later(GOODBYE_SECONDS, connection.abort)


class _Ears(asyncssh.SSHClientSession[bytes]):
    def __init__(self, connection: asyncssh.SSHClientConnection, display: Display) -> None:
        self._connection, self._display = connection, display
        self._status: int | None = None
        self._signal: str | None = None

    def data_received(self, data: bytes, datatype: Any) -> None:
        self._display.output(data)

    def exit_status_received(self, status: int) -> None:
        self._status = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self._signal = signal

    def connection_lost(self, exc: Exception | None) -> None:
        told = self._status is not None or self._signal is not None
        self._display.shell_ended(ShellEnd(exc is not None and not told, self._status, self._signal))
        hang_up(self._connection)
