"""What is handed to the threads is done once, by as few of them as can do it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue

from security.edge.request_threads import RequestThreads


def test_everything_is_done_once_however_many_threads_there_are() -> None:
    done: SimpleQueue[int] = SimpleQueue()
    for most in (1, 3, 50):
        threads = RequestThreads(most)
        for number in range(5000):
            threads.submit(lambda number=number: done.put(number))  # type: ignore[misc]
        assert sorted(done.get(timeout=10) for _ in range(5000)) == list(range(5000))
        threads.shutdown()


def test_no_more_work_runs_at_once_than_there_are_threads() -> None:
    threads, may_end, running, done = RequestThreads(3), threading.Event(), SimpleQueue[None](), SimpleQueue[None]()

    def work() -> None:
        running.put(None)
        may_end.wait(10)
        done.put(None)

    for _ in range(10):
        threads.submit(work)
    for _ in range(3):
        running.get(timeout=10)
    assert running.empty()
    may_end.set()
    for _ in range(10):
        done.get(timeout=10)
    threads.shutdown()


def test_the_thread_that_was_idle_last_is_asked_first() -> None:
    threads, names, may_end = RequestThreads(50), SimpleQueue[str](), threading.Event()

    def wait() -> None:
        may_end.wait(10)

    for _ in range(5):
        threads.submit(wait)
    may_end.set()
    used = set()
    for _ in range(200):
        while len(threads._idle) < 5:
            time.sleep(0.001)
        threads.submit(lambda: names.put(threading.current_thread().name))
        used.add(names.get(timeout=10))
    assert len(used) == 1
    threads.shutdown()


def test_each_thread_enters_its_surroundings_once_and_leaves_them_at_the_end() -> None:
    passed: SimpleQueue[str] = SimpleQueue()

    @contextmanager
    def around() -> Iterator[None]:
        passed.put("entered")
        yield
        passed.put("left")

    threads = RequestThreads(1, around)
    for _ in range(3):
        threads.submit(lambda: passed.put("worked"))
    seen = [passed.get(timeout=10) for _ in range(4)]
    threads.shutdown()
    assert [*seen, passed.get(timeout=10)] == ["entered", "worked", "worked", "worked", "left"]
