"""The circuit breaker, on a clock that the test moves."""

import pytest

from gateway.breaker import Breaker, BreakerIsOpen, BreakerState


class HandClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def breaker(clock: HandClock) -> Breaker:
    return Breaker(clock=clock)


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.failed(breaker.admit())


def succeed(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.succeeded(breaker.admit())


def test_it_opens_at_half_of_ten_calls(breaker: Breaker) -> None:
    succeed(breaker, 5)
    fail(breaker, 4)
    assert breaker.state() is BreakerState.CLOSED
    fail(breaker, 1)
    assert breaker.state() is BreakerState.OPEN
    with pytest.raises(BreakerIsOpen) as refused:
        breaker.admit()
    assert 1 <= int(refused.value.headers["Retry-After"]) <= 6


def test_less_than_half_does_not_open_it(breaker: Breaker) -> None:
    succeed(breaker, 20)
    fail(breaker, 19)
    assert breaker.state() is BreakerState.CLOSED


def test_fewer_than_ten_calls_do_not_open_it(breaker: Breaker) -> None:
    fail(breaker, 9)
    assert breaker.state() is BreakerState.CLOSED


def test_failures_of_more_than_ten_seconds_ago_are_forgotten(breaker: Breaker, clock: HandClock) -> None:
    fail(breaker, 9)
    clock.now += 11
    fail(breaker, 9)
    assert breaker.state() is BreakerState.CLOSED


def test_five_connections_that_fail_in_a_row_open_it(breaker: Breaker) -> None:
    for _ in range(4):
        breaker.not_connected(breaker.admit())
    succeed(breaker, 1)
    for _ in range(4):
        breaker.not_connected(breaker.admit())
    assert breaker.state() is BreakerState.CLOSED
    breaker.not_connected(breaker.admit())
    assert breaker.state() is BreakerState.OPEN


def test_after_the_rest_one_probe_is_let_through_and_its_success_closes_it(breaker: Breaker, clock: HandClock) -> None:
    fail(breaker, 10)
    clock.now += 6
    assert breaker.state() is BreakerState.HALF_OPEN
    probe = breaker.admit()
    with pytest.raises(BreakerIsOpen):
        breaker.admit()
    breaker.succeeded(probe)
    assert breaker.state() is BreakerState.CLOSED
    succeed(breaker, 1)


def test_a_failed_probe_doubles_the_rest_up_to_a_minute(breaker: Breaker, clock: HandClock) -> None:
    fail(breaker, 10)
    for rest in (10, 20, 40, 60, 60):
        clock.now += 67
        breaker.failed(breaker.admit())
        clock.now += rest * 0.85
        assert breaker.state() is BreakerState.OPEN
        clock.now += rest * 0.3
        assert breaker.state() is BreakerState.HALF_OPEN


def test_a_probe_that_says_nothing_makes_room_for_the_next_one(breaker: Breaker, clock: HandClock) -> None:
    fail(breaker, 10)
    clock.now += 6
    breaker.not_judged(breaker.admit())
    breaker.succeeded(breaker.admit())
    assert breaker.state() is BreakerState.CLOSED


def test_a_call_from_before_the_change_says_nothing_about_now(breaker: Breaker, clock: HandClock) -> None:
    old = breaker.admit()
    fail(breaker, 10)
    clock.now += 6
    probe = breaker.admit()
    breaker.succeeded(old)
    breaker.not_judged(old)
    with pytest.raises(BreakerIsOpen):
        breaker.admit()
    breaker.succeeded(probe)
    assert breaker.state() is BreakerState.CLOSED
