"""What the stand-in for SSH servers runs instead of a shell. Each program remembers what happened to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import count

import asyncssh

Process = asyncssh.SSHServerProcess[bytes]
PIECE = 32 * 1024


def numbered_line(number: int) -> bytes:
    """One of a kilobyte, more or less, with characters of one to four bytes."""
    return f"{number:09d} {'größer 答え 😀 plain text ' * 30}\r\n".encode()


def numbered_lines(size: int) -> bytes:
    """The first bytes of all numbered lines. Whoever wants characters whole cuts at a line."""
    lines, length = list[bytes](), 0
    for number in count():
        if length >= size:
            return b"".join(lines)[:size]
        lines.append(numbered_line(number))
        length += len(lines[-1])
    raise AssertionError  # for mypy: `count` never ends


class Program:
    """`typed` and `sizes` are of all who ran it: what came in, and the terminal's rows and columns, first and after each change."""

    def __init__(self) -> None:
        self.typed = bytearray()
        self.sizes: list[tuple[int, int]] = []
        self.terminal_types: list[str | None] = []

    async def serve(self, process: Process) -> None:
        """Raises nothing when the client goes away."""
        columns, rows, *_ = process.term_size
        self.sizes.append((rows, columns))
        self.terminal_types.append(process.term_type)
        with suppress(OSError, asyncssh.Error):
            await self.run(process)

    async def run(self, process: Process) -> None:
        """Greet and go."""
        process.stdout.write(b"hello\n")
        process.exit(0)

    async def keys(self, process: Process) -> AsyncIterator[bytes]:
        """Until there will be no more."""
        while True:
            try:
                typed = await process.stdin.read(PIECE)
            except asyncssh.TerminalSizeChanged as changed:
                self.sizes.append((changed.height, changed.width))
                continue
            if not typed:
                return
            self.typed += typed
            yield typed


class Echo(Program):
    """Writes back what is typed."""

    async def run(self, process: Process) -> None:
        async for typed in self.keys(process):
            process.stdout.write(typed)
        process.exit(0)


class Flood(Program):
    """Writes the first `size` bytes of the numbered lines, as fast as somebody takes them, and then only listens."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.written = 0
        """Bytes that left the program. It stops growing while the program is blocked."""

    async def run(self, process: Process) -> None:
        text = numbered_lines(self.size)
        for at in range(0, self.size, PIECE):
            process.stdout.write(text[at : at + PIECE])
            await process.stdout.drain()
            self.written = min(self.size, at + PIECE)
        async for _ in self.keys(process):
            pass


class Ticker(Program):
    """Writes lines at an even pace, and between them each key in brackets."""

    def __init__(self, lines_per_second: int = 100) -> None:
        super().__init__()
        self.seconds = 1 / lines_per_second
        self.wrote = bytearray()

    async def run(self, process: Process) -> None:
        ticks = asyncio.ensure_future(self._tick(process))
        try:
            async for typed in self.keys(process):
                for key in typed.decode():
                    self._write(process, f"[{key}]")
        finally:
            ticks.cancel()

    async def _tick(self, process: Process) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in count():
            self._write(process, f"line {number} größer 答え 😀\r\n")
            await process.stdout.drain()
            await asyncio.sleep(began + (number + 1) * self.seconds - loop.time())

    def _write(self, process: Process, text: str) -> None:
        process.stdout.write(text.encode())
        self.wrote += text.encode()


class Exit(Program):
    """Ends at the first key: with a status, or as if a signal had killed it."""

    def __init__(self, status: int = 0, signal: str | None = None) -> None:
        super().__init__()
        self.status, self.signal = status, signal

    async def run(self, process: Process) -> None:
        async for _ in self.keys(process):
            break
        if self.signal is None:
            process.exit(self.status)
        else:
            process.exit_with_signal(self.signal)


class LineShell(Program):
    """Something to type at where there is no sshd: it repeats each line, until `exit`."""

    async def run(self, process: Process) -> None:
        process.stdout.write(
            b"sshd is not installed, so this is a stand-in. It repeats what you enter, until exit.\r\n> "
        )
        line = ""
        async for typed in self.keys(process):
            for key in typed.decode(errors="replace"):
                written, after = self._line_after(key, line)
                process.stdout.write(written.encode())
                if after is None:
                    process.exit(0)
                    return
                line = after

    def _line_after(self, key: str, line: str) -> tuple[str, str | None]:
        """What the key writes, and the line then; None at the end."""
        if key == "\x04" and not line:
            return "exit\r\n", None
        if key == "\r":
            return ("\r\n", None) if line.strip() == "exit" else (f"\r\n{line}\r\n> ", "")
        if key == "\x03":
            return "^C\r\n> ", ""
        if key in "\x7f\b":
            return ("\b \b", line[:-1]) if line else ("", line)
        return (key, line + key) if key.isprintable() else ("", line)
