"""The open load sends what is due, whatever became of the requests before."""

import itertools
from threading import Event

from bench.open_loop import OpenLoad, arrivals, run_open
from sandbox.http_listener import Listener, Reply, Request

REQUEST = b"GET / HTTP/1.1\r\nHost: bench.example\r\n\r\n"


def test_requests_are_sent_while_earlier_ones_have_no_answer() -> None:
    third_came = Event()
    count = itertools.count(1)

    def answer(_: Request) -> Reply:
        if next(count) == 3:
            third_came.set()
        return Reply(200 if third_came.wait(30) else 504, "ok")

    listener = Listener(answer)
    listener.start()
    try:
        port = int(listener.url.rpartition(":")[2])
        load = OpenLoad(port, itertools.repeat(REQUEST), per_second=100, warm_up=0, window=0.5)
        outcome = run_open(load, lambda: None)
    finally:
        listener.stop()
    assert outcome.offered == len(list(arrivals(0, 0.5, 100)))
    assert outcome.statuses == {200: outcome.offered}
    assert outcome.connections >= 3


def test_a_request_that_gets_no_answer_is_counted() -> None:
    listener = Listener(lambda _: Reply(200, hang_up=True))
    listener.start()
    try:
        port = int(listener.url.rpartition(":")[2])
        outcome = run_open(OpenLoad(port, itertools.repeat(REQUEST), 100, warm_up=0, window=0.2), lambda: None)
    finally:
        listener.stop()
    assert outcome.accepted == 0
    assert outcome.failed == outcome.offered > 0


def test_arrivals_are_the_same_each_time_and_as_many_as_was_asked_for() -> None:
    found = list(arrivals(5, 105, 200))
    assert found == list(arrivals(5, 105, 200))
    assert found == sorted(found)
    assert abs(len(found) - 20_000) < 600
    assert min(found) > 5 and max(found) < 105
