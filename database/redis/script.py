"""Asking Redis at the lowest price: on one connection that is kept open, and many questions in one trip.

`redis.Redis.evalsha` costs 36 µs of CPU a call, half of it pool accounting, and a trip of its own costs more than that.
"""

import socket
import struct
import time
from collections.abc import Callable, Sequence
from hashlib import sha1
from typing import Any

import hiredis
import redis

from database.shared_trips import SharedTrips, TripNotCompleted

RECEIVE_BYTES = 64 * 1024
MOST_IN_ONE_TRIP = 100
INCOMPLETE = object()
IDLE_SECONDS = 5.0
"""A connection that was idle for longer may have been closed by the server, and is looked at before it is used."""


class Script:
    """The text of a script and the name that Redis knows it by."""

    def __init__(self, text: str) -> None:
        self.text = text.encode()
        self.sha = sha1(self.text, usedforsecurity=False).hexdigest().encode()


Command = tuple[str | int | bytes, ...]


class ScriptRunner:
    """Asks one client's server, on one connection. What is asked at the same time is pipelined.

    Redis does one after another anyway. When a trip fails, everything in it fails: nothing is ever sent twice. `failed` is
    told of it; while `rests` says True no trip begins, so that of many who wait only the first finds out.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        rests: Callable[[], bool] = lambda: False,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        pool = client.connection_pool
        self._pool = pool
        self._rests, self._failed = rests, failed
        # The trip before this one and this one, each with its connecting and answering.
        self._longest_wait = 4 * float(pool.connection_kwargs["socket_timeout"])
        self._trips: SharedTrips[tuple[Script | None, Command], Any] = SharedTrips(self._carry, MOST_IN_ONE_TRIP)
        self._connection: _Connection | None = None

    def run(self, script: Script, keys: int, *arguments: str | int) -> Any:
        """`arguments` are the keys first, then the values. Raises redis.RedisError; ResponseError is about this one alone."""
        return self._submit(script, (keys, *arguments))

    def ask(self, *command: str | int) -> Any:
        """One command. Raises redis.RedisError."""
        return self._submit(None, command)

    def _submit(self, script: Script | None, command: Command) -> Any:
        try:
            return self._trips.submit((script, command), self._longest_wait)
        except TripNotCompleted as error:
            raise redis.TimeoutError(str(error)) from error

    def _carry(self, runs: Sequence[tuple[Script | None, Command]]) -> Sequence[Any]:
        if self._rests():
            return [redis.ConnectionError("Redis failed a moment ago") for _ in runs]
        try:
            connection = self._open()
            answers = connection.exchange(
                [command if script is None else (b"EVALSHA", script.sha, *command) for script, command in runs]
            )
            unknown = [number for number, answer in enumerate(answers) if is_unknown_script(answer)]
            if unknown:  # nothing was run for these
                again = connection.exchange(
                    [
                        (b"EVAL", script.text, *command)
                        for script, command in (runs[number] for number in unknown)
                        if script is not None
                    ]
                )
                for number, answer in zip(unknown, again, strict=True):
                    answers[number] = answer
        except (OSError, redis.RedisError, hiredis.HiredisError) as error:
            self._close()
            self._failed()
            return [redis.ConnectionError(f"No answer from Redis: {type(error).__name__}") for _ in runs]
        except BaseException:
            self._close()  # half a conversation must not be continued
            raise
        return [redis.ResponseError(str(each)) if isinstance(each, hiredis.ReplyError) else each for each in answers]

    def _open(self) -> "_Connection":
        if self._connection is not None and self._connection.is_stale():
            self._close()
        if self._connection is None:
            self._connection = _Connection(self._pool.get_connection())
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._pool.release(self._connection.closed())
            self._connection = None


def is_unknown_script(answer: object) -> bool:
    return isinstance(answer, hiredis.ReplyError) and str(answer).startswith("NOSCRIPT")


class _Connection:
    """A connection that redis-py has opened and greeted. The conversation is read here, by hiredis alone."""

    __slots__ = ("_connection", "_reader", "_socket", "_used_at")

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._socket: socket.socket = connection._get_socket()  # redis-py shows its socket in no other way
        self._reader = hiredis.Reader(notEnoughData=INCOMPLETE)
        self._used_at = time.monotonic()
        let_kernel_time_out(self._socket, connection.socket_timeout)

    def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send all commands, then read all answers. After any exception it must be closed."""
        self._socket.sendall(b"".join([hiredis.pack_command(command) for command in commands]))  # type: ignore[arg-type]
        answers: list[Any] = []
        while len(answers) < len(commands):
            while (answer := self._reader.gets()) is INCOMPLETE:
                data = self._socket.recv(RECEIVE_BYTES)
                if not data:
                    raise ConnectionResetError("Redis closed the connection")
                self._reader.feed(data)
            answers.append(answer)
        self._used_at = time.monotonic()
        return answers

    def is_stale(self) -> bool:
        if time.monotonic() - self._used_at <= IDLE_SECONDS:
            return False
        try:
            return bool(self._connection.can_read())
        except (redis.RedisError, OSError):
            return True

    def closed(self) -> Any:
        """What redis-py made, for its pool: it opens it anew when it is wanted again."""
        self._connection.disconnect()
        return self._connection


def let_kernel_time_out(connected: socket.socket, timeout: float) -> None:
    """Hand the time limit to the kernel: with one of its own, Python polls before every read and write.

    TLS reads in several steps and keeps Python's limit.
    """
    if type(connected) is socket.socket:
        seconds, fraction = divmod(timeout, 1)
        limit = struct.pack("ll", int(seconds), round(fraction * 1_000_000))
        connected.settimeout(None)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
