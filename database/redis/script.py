"""Asking Redis at the lowest price: on one connection that is kept open, and many questions in one trip.

`redis.Redis.evalsha` costs 36 µs of CPU a call, half of it pool accounting, and a trip of its own costs more than that.
"""

import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha1
from typing import Any

import hiredis
import redis

from database.shared_trips import SharedTrips, TripNotCompleted

RECEIVE_BYTES = 8 * 1024
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
Lost = Callable[[], None]


@dataclass(slots=True)
class _Asked:
    """`lost`: nobody waits for the answer, and this is told when the command may not have been carried out."""

    script: Script | None
    command: Command
    lost: Lost | None = None


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
        self._trips: SharedTrips[_Asked, Any] = SharedTrips(self._carry, MOST_IN_ONE_TRIP)
        self._connection: _Connection | None = None

    def run(self, script: Script, keys: int, *arguments: str | int) -> Any:
        """`arguments` are the keys first, then the values. Raises redis.RedisError; ResponseError is about this one alone."""
        return self._submit(_Asked(script, (keys, *arguments)))

    def tell(self, script: Script, keys: int, *arguments: str | int, lost: Lost) -> None:
        """Run a script whose answer nobody needs, after all that this process has asked before and before what it asks next.

        Never raises: `lost` is told when it may not have been run.
        """
        self._trips.post(_Asked(script, (keys, *arguments), lost))

    def ask(self, *command: str | int) -> Any:
        """One command. Raises redis.RedisError."""
        return self._submit(_Asked(None, command))

    def _submit(self, asked: _Asked) -> Any:
        try:
            return self._trips.submit(asked, self._longest_wait)
        except TripNotCompleted as error:
            raise redis.TimeoutError(str(error)) from error

    def _carry(self, all_asked: Sequence[_Asked]) -> Sequence[Any]:
        if self._rests():
            return self._none_of(all_asked, "Redis failed a moment ago")
        try:
            connection = self._open()
        except (OSError, redis.RedisError) as error:
            self._failed()
            return self._none_of(all_asked, f"No connection to Redis: {type(error).__name__}")
        try:
            answers = connection.exchange(all_asked)
            unknown = [number for number, answer in enumerate(answers) if is_unknown_script(answer)]
            if unknown:  # nothing was run for these
                again = connection.exchange([all_asked[number] for number in unknown], with_text=True)
                for number, answer in zip(unknown, again, strict=True):
                    answers[number] = answer
        except (OSError, redis.RedisError, hiredis.HiredisError) as error:
            self._close()
            self._failed()
            return [redis.ConnectionError(f"No answer from Redis: {type(error).__name__}") for _ in all_asked]
        except BaseException:
            self._close()  # half a conversation must not be continued
            raise
        return [redis.ResponseError(str(each)) if isinstance(each, hiredis.ReplyError) else each for each in answers]

    def _none_of(self, all_asked: Sequence[_Asked], reason: str) -> Sequence[Exception]:
        for asked in all_asked:
            if asked.lost is not None:
                asked.lost()
        return [redis.ConnectionError(reason) for _ in all_asked]

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

    __slots__ = ("_connection", "_due", "_known", "_reader", "_socket", "_used_at")

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._socket: socket.socket = connection._get_socket()  # redis-py shows its socket in no other way
        self._reader = hiredis.Reader(notEnoughData=INCOMPLETE)
        self._known: set[Script] = set()
        self._due: deque[Lost | None] = deque()
        """Of each command whose answer was not read yet."""
        self._used_at = time.monotonic()
        let_kernel_time_out(self._socket, connection.socket_timeout)

    def exchange(self, all_asked: Sequence[_Asked], *, with_text: bool = False) -> list[Any]:
        """Send all commands and read the answers that somebody waits for; None stands for the others. After any exception it
        must be closed.
        """
        owed = len(self._due)
        self._due.extend([asked.lost for asked in all_asked])
        self._socket.sendall(b"".join([self._packed(asked, with_text) for asked in all_asked]))
        answers: list[Any] = [None] * len(all_asked)
        awaited = [number for number, asked in enumerate(all_asked) if asked.lost is None]
        if awaited or owed > MOST_IN_ONE_TRIP:
            self._read_owed(owed)
            for number in range(awaited[-1] + 1 if awaited else 0):
                answers[number] = self._read_next()
        self._used_at = time.monotonic()
        return answers

    def is_stale(self) -> bool:
        if time.monotonic() - self._used_at <= IDLE_SECONDS:
            return False
        try:
            self._read_owed(len(self._due))
            return bool(self._connection.can_read())
        except (redis.RedisError, hiredis.HiredisError, OSError):
            return True

    def closed(self) -> Any:
        """What redis-py made, for its pool: it opens it anew when it is wanted again."""
        self._connection.disconnect()
        for lost in self._due:
            if lost is not None:
                lost()
        return self._connection

    def _packed(self, asked: _Asked, with_text: bool) -> bytes:
        script, command = asked.script, asked.command
        if script is not None:
            # Whoever does not wait for its answer cannot ask again with the text, so it is sent once with each connection.
            with_text = with_text or (asked.lost is not None and script not in self._known)
            if with_text:
                self._known.add(script)
            command = (b"EVAL", script.text, *command) if with_text else (b"EVALSHA", script.sha, *command)
        packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]
        return packed

    def _read_owed(self, owed: int) -> None:
        for _ in range(owed):
            self._read_next()

    def _read_next(self) -> Any:
        while (answer := self._reader.gets()) is INCOMPLETE:
            data = self._socket.recv(RECEIVE_BYTES)
            if not data:
                raise ConnectionResetError("Redis closed the connection")
            self._reader.feed(data)
        lost = self._due.popleft()
        if lost is not None and is_unknown_script(answer):
            lost()
        return answer


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
