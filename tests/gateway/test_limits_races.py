"""Many attempts at once, on either backend and while Redis dies: the private server sees exactly as many as the plan has."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from uuid import UUID

import pytest
import redis

from gateway.limits import Reservation
from gateway.plan_limits import PlanLimits
from sandbox.valkey import EmbeddedValkey
from tests.gateway.limit_backends import Backend, attempt_until_refused, backend, eventually, hammer, plan, somebody

THREADS = 40
FREE = plan(5, concurrency=2)
SPAWN = get_context("spawn")


class PrivateServer:
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


def storm(made: Backend, user: UUID, limits: PlanLimits, server: PrivateServer) -> None:
    hammer(THREADS, lambda: attempt_until_refused(made, user, limits, server.call))


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_forty_threads_make_exactly_five_calls(kind: str, database_url: str, redis_url: str) -> None:
    server, alice = PrivateServer(), somebody()
    with backend(database_url, redis_url if kind == "redis" else None) as made:
        storm(made, alice, FREE, server)
        assert server.seen == made.used(alice) == 5
        assert made.reservations() == 0


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_two_processes_of_forty_threads_make_exactly_five_calls(kind: str, database_url: str, redis_url: str) -> None:
    alice = somebody()
    assert seen_by_processes(database_url, redis_url if kind == "redis" else None, alice) == 5
    with backend(database_url, None) as made:
        assert made.used(alice) == 5


def seen_by_processes(database_url: str, redis_url: str | None, user: UUID) -> int:
    results = SPAWN.Queue()
    processes = [SPAWN.Process(target=one_process, args=(database_url, redis_url, user, results)) for _ in range(2)]
    for process in processes:
        process.start()
    seen: int = sum(results.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    return seen


def one_process(database_url: str, redis_url: str | None, user: UUID, results: "object") -> None:
    server = PrivateServer()
    with backend(database_url, redis_url) as made:
        storm(made, user, FREE, server)
    results.put(server.seen)  # type: ignore[attr-defined]


@pytest.fixture
def lasting_thread() -> Iterator[ThreadPoolExecutor]:
    """Starts servers: Linux stops one with the thread that started it, not only with the process."""
    with ThreadPoolExecutor(1) as thread:
        yield thread


def killed_in_call(valkey: EmbeddedValkey, number: int, then: Callable[[], None]) -> Callable[[int], None]:
    def during(call: int) -> None:
        if call == number:
            valkey.kill()
            then()

    return during


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_redis_killed_in_the_middle_and_gone(database_url: str, own_valkey: EmbeddedValkey, number: int) -> None:
    server, alice = PrivateServer(killed_in_call(own_valkey, number, lambda: None)), somebody()
    with backend(database_url, own_valkey.url) as made:
        made.lease()
        storm(made, alice, FREE, server)
        assert server.seen == made.used(alice) == 5
        assert made.reservations() == 0


@pytest.mark.parametrize("number", [1, 3, 5])
def test_redis_killed_in_the_middle_and_back_at_once_but_empty(
    database_url: str, own_valkey: EmbeddedValkey, lasting_thread: ThreadPoolExecutor, number: int
) -> None:
    start = lambda: lasting_thread.submit(own_valkey.start).result()  # noqa: E731
    server, alice = PrivateServer(killed_in_call(own_valkey, number, start)), somebody()
    with backend(database_url, own_valkey.url) as made:
        first = made.lease().epoch
        storm(made, alice, FREE, server)
        assert server.seen == made.used(alice) == 5
        assert eventually(lambda: newer_lease(made, first))
        assert made.refused(alice, FREE).violated == ("day",)


def newer_lease(made: Backend, epoch: int) -> bool:
    lease = made.leases.current()
    return lease is not None and lease.epoch > epoch


@pytest.mark.parametrize("number", [1, 3, 5])
def test_redis_emptied_in_the_middle(database_url: str, own_valkey: EmbeddedValkey, number: int) -> None:
    alice = somebody()

    def during(call: int) -> None:
        if call == number:
            client = redis.Redis.from_url(own_valkey.url)
            client.flushall()
            client.close()

    server = PrivateServer(during)
    with backend(database_url, own_valkey.url) as made:
        made.lease()
        storm(made, alice, FREE, server)
        assert server.seen == made.used(alice) == 5


def test_redis_killed_and_back_again_and_again_under_many_users(database_url: str, own_valkey: EmbeddedValkey) -> None:
    users = [somebody() for _ in range(8)]
    servers = {user: PrivateServer() for user in users}
    todo = [user for user in users for _ in range(4)]
    lock, over = threading.Lock(), threading.Event()

    def work() -> None:
        with lock:
            user = todo.pop()
        attempt_until_refused(made, user, plan(150, concurrency=3), servers[user].call)

    def trouble() -> None:
        while not over.wait(0.2):
            own_valkey.kill()
            own_valkey.start()

    with backend(database_url, own_valkey.url) as made:
        made.lease()
        troublemaker = threading.Thread(target=trouble)
        troublemaker.start()
        try:
            hammer(len(todo), work)
        finally:
            over.set()
            troublemaker.join()
        assert [servers[user].seen for user in users] == [150] * len(users)
        assert [made.used(user) for user in users] == [150] * len(users)
        assert made.reservations() == 0


def test_two_processes_with_redis_killed_in_the_middle_make_exactly_the_days_calls(
    database_url: str, own_valkey: EmbeddedValkey
) -> None:
    users = [somebody() for _ in range(4)]
    results, go = SPAWN.Queue(), SPAWN.Barrier(3)
    arguments = (database_url, own_valkey.url, users, go, results)
    processes = [SPAWN.Process(target=one_troubled_process, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    go.wait(60)
    with backend(database_url, own_valkey.url) as made:
        eventually(lambda: sum(made.used(user) for user in users) > 20)
        own_valkey.kill()
        eventually(lambda: sum(made.used(user) for user in users) > 60)
        own_valkey.start()
        seen = [results.get(timeout=60) for _ in processes]
        for process in processes:
            process.join()
        assert [sum(counts) for counts in zip(*seen, strict=True)] == [40] * len(users)
        assert [made.used(user) for user in users] == [40] * len(users)


def one_troubled_process(
    database_url: str, redis_url: str, users: list[UUID], go: threading.Barrier, results: "object"
) -> None:
    servers = {user: PrivateServer() for user in users}
    todo = [user for user in users for _ in range(4)]
    with backend(database_url, redis_url) as made:
        made.lease()
        go.wait(60)

        def work() -> None:
            user = todo.pop()
            attempt_until_refused(made, user, plan(40, concurrency=3), servers[user].call)

        hammer(len(todo), work)
    results.put([servers[user].seen for user in users])  # type: ignore[attr-defined]
