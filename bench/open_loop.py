"""A load that does not wait: each request is sent when it is due, whatever became of the ones before.

A closed loop slows down with the server that it measures and so hides its worst moments. Here a request that had to wait,
for a connection or for this process, counts its wait: every time is measured from the moment at which it was due.
"""

import random
import selectors
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.load import LAST_ANSWER_SECONDS, Client, Outcome, Reading

MOST_CONNECTIONS = 200


@dataclass(frozen=True)
class OpenLoad:
    """Requests that come by chance, as from many senders who know nothing of each other, `per_second` in the mean.

    Times are seconds. A request takes an idle keep-alive connection, else a new one.
    """

    port: int
    requests: Iterator[bytes]
    """Asked for the next one when it is about to be sent."""
    per_second: float
    warm_up: float
    window: float


@dataclass(frozen=True)
class OpenOutcome(Outcome[Reading]):
    """Of the requests that were due in the window, all of which had time to be answered."""

    offered: int
    connections: int
    late_ms: list[float]
    """Sorted: how long after its time each was sent. What is late here is the load, or a server without connections left."""


def run_open(load: OpenLoad, meter: Callable[[], Reading]) -> OpenOutcome[Reading]:
    """Apply the load. `meter` is read when the window opens, and when its last request has been answered."""
    return _OpenLoop(load, time.perf_counter()).run(meter)


class _OpenLoop:
    def __init__(self, load: OpenLoad, began: float) -> None:
        self.load = load
        self.opens = began + load.warm_up
        self.ends = self.opens + load.window
        self.due = list(arrivals(began, self.ends, load.per_second))
        # select() waits by the microsecond, epoll by the millisecond.
        self.selector = selectors.SelectSelector()
        self.idle: list[Client] = []
        self.waiting: deque[float] = deque()
        self.opened = 0
        self.statuses: Counter[int] = Counter()
        self.durations: list[float] = []
        self.late: list[float] = []

    def run(self, meter: Callable[[], Reading]) -> OpenOutcome[Reading]:
        offered = sum(due >= self.opens for due in self.due)
        coming = deque(self.due)
        before: list[Reading] = []
        try:
            while (coming or self.unanswered) and time.perf_counter() < self.ends + LAST_ANSWER_SECONDS:
                now = time.perf_counter()
                if not before and now >= self.opens:
                    before.append(meter())
                while coming and coming[0] <= now:
                    self.waiting.append(coming.popleft())
                self.send_waiting()
                self.receive(coming[0] - time.perf_counter() if coming else 0.1)
            after = meter()
        finally:
            self.close()
        self.statuses[0] += offered - self.statuses.total()
        return OpenOutcome(
            seconds=self.load.window,
            statuses=+self.statuses,
            durations_ms=sorted(self.durations),
            before=before[0],
            after=after,
            offered=offered,
            connections=self.opened,
            late_ms=sorted(self.late),
        )

    @property
    def unanswered(self) -> int:
        return len(self.waiting) + len(self.selector.get_map()) - len(self.idle)

    def send_waiting(self) -> None:
        while self.waiting and (self.idle or len(self.selector.get_map()) < MOST_CONNECTIONS):
            client = self.idle.pop() if self.idle else self.open()
            due = self.waiting.popleft()
            if due >= self.opens:
                self.late.append((time.perf_counter() - due) * 1000)
            client.send()
            client.sent_at = due

    def open(self) -> Client:
        client = Client(self.load.port, self.load.requests)
        self.selector.register(client.connection, selectors.EVENT_READ, client)
        self.opened += 1
        return client

    def receive(self, longest: float) -> None:
        for key, _ in self.selector.select(max(0.0, longest)):
            client: Client = key.data
            was_idle = client in self.idle
            status = client.receive()
            if status is None:
                continue
            if not was_idle and client.sent_at >= self.opens:
                self.statuses[status] += 1
                if status == 200:
                    self.durations.append((time.perf_counter() - client.sent_at) * 1000)
            if was_idle:
                self.idle.remove(client)
            if status == 0 or client.server_closes:
                self.selector.unregister(client.connection)
                client.connection.close()
            else:
                self.idle.append(client)

    def close(self) -> None:
        for registered in list(self.selector.get_map().values()):
            registered.data.connection.close()
        self.selector.close()


def arrivals(begins: float, ends: float, per_second: float) -> Iterator[float]:
    """Always the same distances, so that two measurements have the same load (a Poisson process)."""
    chance = random.Random(per_second)
    at = begins
    while (at := at + chance.expovariate(per_second)) < ends:
        yield at
