"""Many attempts at once, on either backend and while Redis fails: exactly as many calls are delivered as the plan has.

With healthy parts the upstream sees no more than that. In a failure of Redis it may see as many more as were in flight, and
once more as many as the user may have at once when Redis comes back with old counts.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from uuid import UUID

import pytest
import redis

from metering.limits import Reservation
from metering.settle import LimitReachedMeanwhile
from sandbox.valkey import EmbeddedValkey
from tests.metering.limit_backends import (
    Backend,
    Plan,
    ask,
    attempt_until_refused,
    backend,
    eventually,
    hammer,
    plan,
    somebody,
)

THREADS = 40
AT_ONCE = 2
FREE = plan(5, concurrency=AT_ONCE)
# Children of a process that has imported this module once.
FORKSERVER = get_context("forkserver")
FORKSERVER.set_forkserver_preload([__name__])


class Upstream:
    """Counts the calls that reach it. `during` runs within each call, with its number."""

    def __init__(self, during: Callable[[int], None] = lambda _: None) -> None:
        self._lock = threading.Lock()
        self.seen = 0
        self._during = during

    def call(self, _reservation: Reservation) -> None:
        with self._lock:
            self.seen += 1
            number = self.seen
        self._during(number)


def storm(made: Backend, user: UUID, limits: Plan, upstream: Upstream) -> int:
    """Returns how many calls were delivered."""
    return sum(hammer(THREADS, lambda: attempt_until_refused(made, user, limits, upstream.call)))


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_forty_threads_make_exactly_five_calls(kind: str, database_url: str, redis_url: str) -> None:
    upstream, alice = Upstream(), somebody()
    with backend(database_url, redis_url if kind == "redis" else None) as made:
        assert storm(made, alice, FREE, upstream) == upstream.seen == made.used(alice) == 5
        assert made.reservations() == 0


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_two_processes_of_forty_threads_make_exactly_five_calls(kind: str, database_url: str, redis_url: str) -> None:
    alice = somebody()
    assert counts_of_processes(database_url, redis_url if kind == "redis" else None, alice) == (5, 5)
    with backend(database_url, None) as made:
        assert made.used(alice) == 5


def counts_of_processes(database_url: str, redis_url: str | None, user: UUID) -> tuple[int, int]:
    """Delivered by two processes, and seen by the upstream."""
    results = FORKSERVER.Queue()
    processes = [
        FORKSERVER.Process(target=one_process, args=(database_url, redis_url, user, results)) for _ in range(2)
    ]
    for process in processes:
        process.start()
    delivered, seen = zip(*(results.get(timeout=60) for _ in processes), strict=True)
    for process in processes:
        process.join()
    return sum(delivered), sum(seen)


def one_process(database_url: str, redis_url: str | None, user: UUID, results: "object") -> None:
    upstream = Upstream()
    with backend(database_url, redis_url) as made:
        delivered = storm(made, user, FREE, upstream)
    results.put((delivered, upstream.seen))  # type: ignore[attr-defined]


@pytest.fixture
def lasting_thread() -> Iterator[ThreadPoolExecutor]:
    """Starts servers: Linux stops one with the thread that started it, not only with the process."""
    with ThreadPoolExecutor(1) as thread:
        yield thread


def killed(valkey: EmbeddedValkey, _start: Callable[[], None]) -> None:
    valkey.kill()


def killed_and_back_empty(valkey: EmbeddedValkey, start: Callable[[], None]) -> None:
    valkey.kill()
    start()


def emptied(valkey: EmbeddedValkey, _start: Callable[[], None]) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()


def stopped(valkey: EmbeddedValkey, _start: Callable[[], None]) -> None:
    valkey.pause()


@pytest.mark.parametrize(
    "trouble", [killed, killed_and_back_empty, emptied, pytest.param(stopped, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("number", [1, 5])
def test_redis_fails_in_the_middle(
    database_url: str,
    own_valkey: EmbeddedValkey,
    lasting_thread: ThreadPoolExecutor,
    trouble: Callable[[EmbeddedValkey, Callable[[], None]], None],
    number: int,
) -> None:
    alice = somebody()

    def during(call: int) -> None:
        if call == number:
            trouble(own_valkey, lambda: lasting_thread.submit(own_valkey.start).result())

    upstream = Upstream(during)
    with backend(database_url, own_valkey.url) as made:
        assert storm(made, alice, FREE, upstream) == made.used(alice) == 5
        assert upstream.seen <= 5 + AT_ONCE + AT_ONCE
        assert made.reservations() == 0
        own_valkey.resume()
        eventually(made.server.client)
        assert attempt_until_refused(made, alice, FREE, upstream.call) == 0
        assert upstream.seen <= 5 + AT_ONCE + AT_ONCE


def test_redis_comes_back_with_what_it_held_at_the_first_call(
    database_url: str, own_valkey: EmbeddedValkey, lasting_thread: ThreadPoolExecutor
) -> None:
    alice = somebody()
    saved = threading.Event()

    def during(call: int) -> None:
        if call == 1:
            with redis.Redis.from_url(own_valkey.url) as client:
                client.save()
            saved.set()
        if call == 5:
            assert saved.wait(10)
            own_valkey.kill()
            lasting_thread.submit(own_valkey.start).result()
            with redis.Redis.from_url(own_valkey.url) as client:
                assert client.keys("mos:used:*"), "the snapshot was read"

    upstream = Upstream(during)
    with backend(database_url, own_valkey.url) as made:
        assert storm(made, alice, FREE, upstream) == made.used(alice) == 5
        eventually(made.server.client)
        assert attempt_until_refused(made, alice, FREE, upstream.call) == 0
        assert upstream.seen <= 5 + AT_ONCE + AT_ONCE


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_a_process_that_was_stopped_beyond_its_lease_delivers_nothing_beyond_the_limit(
    kind: str, database_url: str, redis_url: str
) -> None:
    alice, redis_of = somebody(), redis_url if kind == "redis" else None
    results = FORKSERVER.Queue()
    asleep = FORKSERVER.Process(target=reserve_stop_and_settle, args=(database_url, redis_of, alice, results))
    asleep.start()
    assert results.get(timeout=60) == "reserved"
    with backend(database_url, redis_of) as made:
        assert attempt_until_admitted(made, alice) == 1
        assert asleep.pid is not None
        os.kill(asleep.pid, signal.SIGCONT)
        assert results.get(timeout=60) == "refused"
        asleep.join()
        assert made.used(alice) == 1


def reserve_stop_and_settle(database_url: str, redis_url: str | None, user: UUID, results: "object") -> None:
    with backend(database_url, redis_url) as made:
        held = made.limits.reserve(ask(user, plan(1), lease_seconds=0.5))
        assert isinstance(held, Reservation)
        results.put("reserved")  # type: ignore[attr-defined]
        time.sleep(0.1)  # until the queue's thread has sent it
        os.kill(os.getpid(), signal.SIGSTOP)
        try:
            made.settle(held)
        except LimitReachedMeanwhile:
            results.put("refused")  # type: ignore[attr-defined]
        else:
            results.put("delivered")  # type: ignore[attr-defined]


def attempt_until_admitted(made: Backend, user: UUID) -> int:
    return made.settle(eventually(lambda: granted(made, user)))


def granted(made: Backend, user: UUID) -> Reservation | None:
    answer = made.limits.reserve(ask(user, plan(1)))
    return answer if isinstance(answer, Reservation) else None


@pytest.mark.slow
def test_redis_killed_and_back_again_and_again_under_many_users(database_url: str, own_valkey: EmbeddedValkey) -> None:
    users = [somebody() for _ in range(8)]
    todo = [user for user in users for _ in range(4)]
    lock, over = threading.Lock(), threading.Event()

    def work() -> tuple[UUID, int]:
        with lock:
            user = todo.pop()
        return user, attempt_until_refused(made, user, plan(150, concurrency=3), lambda _: None)

    def trouble() -> None:
        while not over.wait(0.2):
            own_valkey.kill()
            own_valkey.start()

    with backend(database_url, own_valkey.url) as made:
        troublemaker = threading.Thread(target=trouble)
        troublemaker.start()
        try:
            outcomes = hammer(len(todo), work)
        finally:
            over.set()
            troublemaker.join()
        assert [sum(delivered for of, delivered in outcomes if of == user) for user in users] == [150] * len(users)
        assert [made.used(user) for user in users] == [150] * len(users)
        assert made.reservations() == 0
