"""Many streams at once, on bare sockets, of pieces that say when they were sent (bench/token_server.py)."""

import re
import selectors
import socket
import time
from collections.abc import Sequence

from bench.load import LAST_ANSWER_SECONDS

MOMENT = re.compile(rb"(\d+\.\d{6}) ")
END = b"\r\n0\r\n\r\n"
LONGEST_MOMENT = 32
STATUS_END = len("HTTP/1.1 200")


class Stream:
    """One connection, whose request is asked again when its answer has ended, where that is wanted."""

    def __init__(self, port: int, request: bytes) -> None:
        self.request = request
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=LAST_ANSWER_SECONDS)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""
        self.sent_at = 0.0
        self.first_at: float | None = None
        self.status = b""

    def send(self) -> None:
        self.rest, self.first_at, self.status = b"", None, b""
        self.sent_at = time.monotonic()
        self.connection.sendall(self.request)


class Crowd:
    """Reads only while it is told to `run`, in the thread that tells it. Times are milliseconds, since the last `forget`."""

    def __init__(self, port: int, requests: Sequence[bytes], *, again: bool = False) -> None:
        """Each stream has the next of the requests for itself. `again`: it asks anew when its reply has ended."""
        self.first_ms: list[float] = []
        """From the sending of a request to the first piece, of requests that were sent since."""
        self.delay_ms: list[float] = []
        """How old each piece was when it came."""
        self.failures: list[bytes] = []
        self.open = 0
        self._port, self._requests, self._again = port, iter(requests), again
        self._since = time.monotonic()
        self._selector = selectors.DefaultSelector()

    def grow(self, more: int, per_second: float) -> None:
        for _ in range(more):
            stream = Stream(self._port, next(self._requests))
            self._selector.register(stream.connection, selectors.EVENT_READ, stream)
            self.open += 1
            stream.send()
            self.run(1 / per_second)

    def run(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                self._receive(key.data)

    def leave(self) -> None:
        """Nobody asks anew."""
        self._again = False

    def finish(self, seconds: float) -> None:
        """Until every reply has ended; what has not by then is a failure."""
        until = time.monotonic() + seconds
        while self.open and time.monotonic() < until:
            self.run(0.1)
        self.failures += [b"no end"] * self.open

    def forget(self) -> None:
        self._since = time.monotonic()
        self.first_ms, self.delay_ms = [], []

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            key.data.connection.close()
        self._selector.close()

    def _receive(self, stream: Stream) -> None:
        try:
            data = stream.connection.recv(65536)
        except ConnectionError:
            data = b""
        now = time.monotonic()
        received = stream.rest + data
        if not stream.status and len(received) >= STATUS_END:
            stream.status = received[STATUS_END - 3 : STATUS_END]
        for moment in MOMENT.findall(received):
            if stream.first_at is None:
                stream.first_at = now
                if stream.sent_at >= self._since:
                    self.first_ms.append((now - stream.sent_at) * 1000)
            self.delay_ms.append((now - float(moment)) * 1000)
        whole = received.endswith(END)
        if not data or whole or stream.status not in (b"200", b""):
            self._end(stream, received, whole and stream.first_at is not None and b"event: error" not in received)
        else:
            begun = max(received.rfind(b" ") + 1, len(received) - LONGEST_MOMENT) if stream.status else 0
            stream.rest = received[begun:]

    def _end(self, stream: Stream, received: bytes, succeeded: bool) -> None:
        if not succeeded:
            self.failures.append(received[:500])
        if succeeded and self._again:
            stream.send()
            return
        self._selector.unregister(stream.connection)
        stream.connection.close()
        self.open -= 1
