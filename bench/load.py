"""The load: many keep-alive connections in a closed loop, on bare sockets, so that making it costs little itself."""

import re
import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Generic, TypeVar

Reading = TypeVar("Reading")

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
NOT_MODIFIED = b"304"
"""It never has a body (RFC 9110, 6.4.1)."""
LAST_ANSWER_SECONDS = 15.0


@dataclass(frozen=True)
class Load:
    """`connections` start one after another over `ramp` seconds; then each sends its next request when it has its answer.

    `requests` are taken in turn by all connections. `wanted`: the status of an answer that is as it should be. Times are
    seconds.
    """

    port: int
    requests: Sequence[bytes]
    connections: int
    warm_up: float
    window: float
    ramp: float = 0.0
    wanted: int = 200


@dataclass(frozen=True)
class Outcome(Generic[Reading]):
    """What was answered inside the window, and what a meter said at its two ends."""

    seconds: float
    statuses: Counter[int]
    """By HTTP status; 0 stands for a connection that the server closed without an answer."""
    durations_ms: list[float]
    """Sorted, of the answers with the wanted status."""
    before: Reading
    after: Reading
    wanted: int = field(default=200, kw_only=True)

    @property
    def accepted(self) -> int:
        """Answers with the wanted status."""
        return self.statuses[self.wanted]

    @property
    def failed(self) -> int:
        return self.statuses.total() - self.accepted

    def percentile(self, percent: float) -> float:
        """Milliseconds; not a number when nothing was accepted."""
        return percentile(self.durations_ms, percent)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Not a number when there are none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else float("nan")


@dataclass
class Client:
    """One connection and the answer that it waits for."""

    port: int
    requests: Iterator[bytes]
    connection: socket.socket = field(init=False)
    received: bytes = field(default=b"", init=False)
    sent_at: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.connection = socket.create_connection(("127.0.0.1", self.port), timeout=LAST_ANSWER_SECONDS)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self) -> None:
        request = next(self.requests)
        self.received = b""
        self.sent_at = time.perf_counter()
        self.connection.sendall(request)

    @property
    def server_closes(self) -> bool:
        """The answer said that it is the last one on this connection, as one with status 500 is."""
        return b"connection: close" in self.received.partition(b"\r\n\r\n")[0].lower()

    def receive(self) -> int | None:
        """Read what is there. The status of a whole answer, None while something is missing, 0 when the server hung up."""
        try:
            data = self.connection.recv(65536)
        except ConnectionError:
            return 0
        if not data:
            return 0
        self.received += data
        return whole_answer(self.received)


def whole_answer(received: bytes) -> int | None:
    """The status, when the head and all of the body have come. Only answers with Content-Length are understood, and 304."""
    head_end = received.find(b"\r\n\r\n")
    if head_end < 0:
        return None
    if received[9:12] == NOT_MODIFIED:
        return 304
    length = LENGTH.search(received, 0, head_end)
    if length is None:
        raise ValueError("the answer has no Content-Length")
    return int(received[9:12]) if len(received) >= head_end + 4 + int(length[1]) else None


def ask_once(port: int, request: bytes, *, timeout: float) -> tuple[int, bytes]:
    """Status and body of one request on a connection of its own. Raises OSError; ConnectionError when nobody answers."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.sendall(request)
        received = b""
        while (status := whole_answer(received)) is None:
            data = connection.recv(65536)
            if not data:
                raise ConnectionResetError("the server closed the connection without an answer")
            received += data
    return status, received.partition(b"\r\n\r\n")[2]


def run(load: Load, meter: Callable[[], Reading]) -> Outcome[Reading]:
    """Apply the load. `meter` is read when the window opens and when it closes; only answers in between are counted."""
    selector = selectors.DefaultSelector()
    requests = cycle(load.requests)
    statuses: Counter[int] = Counter()
    durations: list[float] = []
    began = time.perf_counter()
    opens = began + load.ramp + load.warm_up
    readings: list[Reading] = []
    started = 0
    try:
        while (now := time.perf_counter()) < opens + load.window:
            if not readings and now >= opens:
                readings.append(meter())
                opens = time.perf_counter()
                statuses.clear()
                durations.clear()
            while started < load.connections and now >= began + load.ramp * started / load.connections:
                begin(Client(load.port, requests), selector)
                started += 1
            until_next = load.ramp / load.connections if started < load.connections else 0.5
            for key, _ in selector.select(min(until_next, max(0.0, opens + load.window - now))):
                client: Client = key.data
                status = client.receive()
                if status is None:
                    continue
                statuses[status] += 1
                if status == load.wanted:
                    durations.append((time.perf_counter() - client.sent_at) * 1000)
                if status == 0 or client.server_closes:
                    selector.unregister(client.connection)
                    client.connection.close()
                    begin(Client(load.port, requests), selector)
                else:
                    client.send()
        closed = time.perf_counter()
        readings.append(meter())
    finally:
        for registered in list(selector.get_map().values()):
            registered.data.connection.close()
        selector.close()
    before, after = readings
    return Outcome(closed - opens, statuses, sorted(durations), before, after, wanted=load.wanted)


def begin(client: Client, selector: selectors.BaseSelector) -> None:
    selector.register(client.connection, selectors.EVENT_READ, client)
    client.send()
