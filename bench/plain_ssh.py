"""An SSH client without anything around it: asyncssh on uvloop, in a process of its own on the measured processor."""

import asyncio
import multiprocessing
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any

import asyncssh
import uvloop

from bench.processors import Processors
from bench.terminal_programs import BYTE, READY
from sandbox.open_ssh import OpenSsh

PIECE = 64 * 1024
END_SECONDS = 20.0
PROCESSES = multiprocessing.get_context("fork")


class PlainClient:
    """Has one shell for each program. One call at a time."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def echo(self, keys: int, pause: float) -> list[float]:
        """How many milliseconds each took to come back."""
        took: list[float] = self._ask("echo", keys, pause)
        return took

    def pour(self, size: int) -> float:
        """Seconds until so many bytes were there."""
        seconds: float = self._ask("pour", size)
        return seconds

    def _ask(self, *request: object) -> Any:
        self._pipe.send(request)
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def plain_client(sshd: OpenSsh, key: str, programs: dict[str, str], processors: Processors) -> Iterator[PlainClient]:
    """`key`: the private one, which the server lets in. `programs`: what to type into a shell, by what it does."""
    here, there = PROCESSES.Pipe()
    process = PROCESSES.Process(target=_serve, args=(there, sshd, key, programs, processors), daemon=True)
    process.start()
    there.close()
    try:
        yield PlainClient(here)
        here.send(None)
        process.join(END_SECONDS)
    finally:
        process.kill()
        process.join()
        here.close()


def _serve(pipe: Connection, sshd: OpenSsh, key: str, programs: dict[str, str], processors: Processors) -> None:
    processors.move_to_gateway()
    asyncssh.set_log_level("CRITICAL")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_answer(pipe, sshd, key, programs))


async def _answer(pipe: Connection, sshd: OpenSsh, key: str, programs: dict[str, str]) -> None:
    async with asyncssh.connect(
        "127.0.0.1",
        sshd.port,
        config=None,
        username=sshd.user,
        client_keys=[asyncssh.import_private_key(key)],
        agent_path=None,
        known_hosts=None,
    ) as connection:
        shells = {name: await _shell(connection, program) for name, program in programs.items()}
        does: dict[str, Callable[..., Awaitable[object]]] = {"echo": _echo, "pour": _pour}
        while (request := await asyncio.to_thread(pipe.recv)) is not None:
            name, *arguments = request
            try:
                pipe.send(await does[name](shells[name], *arguments))
            except Exception as error:
                pipe.send(RuntimeError(f"{name}: {type(error).__name__}: {error}"))


async def _shell(connection: asyncssh.SSHClientConnection, program: str) -> asyncssh.SSHClientProcess[bytes]:
    shell = await connection.create_process(term_type="xterm-256color", term_size=(80, 24), encoding=None)
    shell.stdin.write(program.encode())
    await asyncio.wait_for(shell.stdout.readuntil(READY), END_SECONDS)
    return shell


async def _echo(shell: asyncssh.SSHClientProcess[bytes], keys: int, pause: float) -> list[float]:
    took = []
    for _ in range(keys):
        await asyncio.sleep(pause)
        began = perf_counter()
        shell.stdin.write(BYTE)
        await shell.stdout.readexactly(1)
        took.append((perf_counter() - began) * 1000)
    return took


async def _pour(shell: asyncssh.SSHClientProcess[bytes], size: int) -> float:
    began, had = perf_counter(), 0
    shell.stdin.write(f"{size}\n".encode())
    while had < size:
        had += len(await shell.stdout.read(PIECE))
    return perf_counter() - began
