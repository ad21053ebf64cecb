"""The body of a request that is too large to be kept until it is whole: its thread reads it, when it is admitted."""

import select
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from security.edge.problems import RequestTimeout, TooBusy

RECEIVED_AT_ONCE = 256 * 1024
SECONDS_BETWEEN_LOOKS = 0.5
"""After so long a reader that was asked to give way does."""


class BodyPatience(Protocol):
    """Seconds that a client has for a body: `body`, one more for every `bytes_per_second`, and never more than `late_body`."""

    @property
    def body(self) -> float: ...

    @property
    def late_body(self) -> float: ...

    @property
    def bytes_per_second(self) -> int: ...


class Readable(Protocol):
    def read(self, size: int | None = None) -> bytes: ...


class LateBody:
    """`wsgi.input` of such a request. Until `begin` it ends with what had arrived, so whoever is refused holds no thread."""

    def __init__(self, client: socket.socket, patience: BodyPatience) -> None:
        self.failed = False
        """gunicorn asks every body for it."""
        self._client = client
        self._patience = patience
        self._framed: Readable
        self._length: int | None = None
        self._expects_continue = False
        self._on_whole: Callable[[], None]
        self._begun = self._until = 0.0
        self._taken = 0
        self._reading = self._gives_way = self._whole = False

    def frame(
        self, framed: Readable, *, length: int | None, expects_continue: bool, on_whole: Callable[[], None]
    ) -> None:
        """`framed` finds the body in what `receive` gives. `length`: as announced, None in chunks. `on_whole` is told when all
        of it was read, so that another request may follow.
        """
        self._framed, self._length, self._on_whole = framed, length, on_whole
        self._expects_continue = expects_continue

    def begin(self) -> None:
        """The client has been admitted: from here on its thread waits for it."""
        self._begun = time.monotonic()
        self._until = self._begun + self._patience.body

    def give_way(self, seconds: float) -> bool:
        """Whether it is still being read after so many seconds. Then it ends with TooBusy, to leave its place to another."""
        asked = self._reading and not self._gives_way and time.monotonic() - self._begun > seconds
        self._gives_way = self._gives_way or asked
        return asked

    def read(self, size: int | None = None) -> bytes:
        """Raises RequestTimeout and TooBusy, and what the server raises for a broken chunk or a lost connection."""
        if self._begun and self._expects_continue:
            self._expects_continue = False
            with suppress(OSError):
                self._client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._reading = True
        try:
            data = self._framed.read(size)
        finally:
            self._reading = False
        self._taken += len(data)
        at_end = self._taken == self._length if self._length is not None else len(data) < (size or sys.maxsize)
        if at_end and not self._whole:  # once: gunicorn reads it again before the next request
            self._whole = True
            self._on_whole()
        return data

    def receive(self, most: int) -> bytes:
        """What comes next from the client, in any case at most so much; nothing when it says no more."""
        while self._begun:
            left = min(self._until, self._begun + self._patience.late_body) - time.monotonic()
            self.failed = self._gives_way or left <= 0
            if self._gives_way:
                raise TooBusy("Your upload was slow while others waited. Try again")
            if left <= 0:
                raise RequestTimeout
            try:
                data = self._client.recv(min(most, RECEIVED_AT_ONCE), socket.MSG_DONTWAIT)
            except BlockingIOError:
                waiting = select.poll()
                waiting.register(self._client, select.POLLIN)
                waiting.poll(1000 * min(left, SECONDS_BETWEEN_LOOKS))
            else:
                self._until += len(data) / self._patience.bytes_per_second
                return data
        return b""
