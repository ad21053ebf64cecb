"""The circuit breaker, on a clock that the test moves."""

from collections.abc import Iterator
from itertools import count, cycle
from uuid import UUID

import pytest

from metering.breaker import Breaker, BreakerIsOpen, BreakerState, HealthSign, Ticket

USERS = [UUID(int=number) for number in range(1, 6)]
NUMBERS = count(100)


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


def somebody() -> UUID:
    return UUID(int=next(NUMBERS))


def fail(breaker: Breaker, times: int, users: list[UUID] = USERS) -> None:
    asking: Iterator[UUID] = cycle(users)
    for _ in range(times):
        breaker.judge(breaker.admit(next(asking)), HealthSign.BAD)


def succeed(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.judge(breaker.admit(USERS[0]), HealthSign.GOOD)


def fail_all_probes(breaker: Breaker) -> None:
    tickets: list[Ticket] = [breaker.admit(somebody()) for _ in range(5)]
    for ticket in tickets:
        breaker.judge(ticket, HealthSign.BAD)


def test_it_opens_at_half_of_ten_calls(breaker: Breaker) -> None:
    succeed(breaker, 5)
    fail(breaker, 4)
    assert breaker.state() is BreakerState.CLOSED
    fail(breaker, 1, USERS[4:])
    assert breaker.state() is BreakerState.OPEN
    with pytest.raises(BreakerIsOpen) as refused:
        breaker.admit(somebody())
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
        breaker.judge(breaker.admit(USERS[0]), HealthSign.UNREACHABLE)
    succeed(breaker, 1)
    for _ in range(4):
        breaker.judge(breaker.admit(USERS[0]), HealthSign.UNREACHABLE)
    assert breaker.state() is BreakerState.CLOSED
    breaker.judge(breaker.admit(USERS[0]), HealthSign.UNREACHABLE)
    assert breaker.state() is BreakerState.OPEN


def test_failures_of_four_users_do_not_open_it_however_many(breaker: Breaker) -> None:
    fail(breaker, 400, USERS[:4])
    assert breaker.state() is BreakerState.CLOSED
    fail(breaker, 1, USERS[4:])
    assert breaker.state() is BreakerState.OPEN


def test_connections_that_fail_weigh_as_much_as_users(breaker: Breaker) -> None:
    """No user can make a connection fail."""
    for _ in range(3):
        for _ in range(2):
            breaker.judge(breaker.admit(USERS[0]), HealthSign.UNREACHABLE)
        fail(breaker, 1, USERS[:1])
    assert breaker.state() is BreakerState.CLOSED  # nine calls
    breaker.judge(breaker.admit(USERS[0]), HealthSign.UNREACHABLE)
    assert breaker.state() is BreakerState.OPEN


def test_after_the_rest_five_users_may_probe_and_the_first_success_closes_it(
    breaker: Breaker, clock: HandClock
) -> None:
    fail(breaker, 10)
    clock.now += 6
    assert breaker.state() is BreakerState.HALF_OPEN
    probes = [breaker.admit(user) for user in USERS]
    for user in (USERS[0], somebody()):
        with pytest.raises(BreakerIsOpen):
            breaker.admit(user)
    for probe in probes[:4]:
        breaker.judge(probe, HealthSign.BAD)
    assert breaker.state() is BreakerState.HALF_OPEN
    breaker.judge(probes[4], HealthSign.GOOD)
    assert breaker.state() is BreakerState.CLOSED
    succeed(breaker, 1)


def test_three_users_whose_probes_fail_or_hang_keep_it_from_nobody_else(breaker: Breaker, clock: HandClock) -> None:
    fail(breaker, 10)
    clock.now += 6
    for _ in range(10):
        for probe in [breaker.admit(user) for user in USERS[:2]]:
            breaker.judge(probe, HealthSign.BAD)
        breaker.admit(USERS[2])
        clock.now += 10
    breaker.judge(breaker.admit(somebody()), HealthSign.GOOD)
    assert breaker.state() is BreakerState.CLOSED


def test_failed_probes_double_the_rest_up_to_a_minute(breaker: Breaker, clock: HandClock) -> None:
    fail(breaker, 10)
    for rest in (10, 20, 40, 60, 60):
        clock.now += 67
        fail_all_probes(breaker)
        clock.now += rest * 0.85
        assert breaker.state() is BreakerState.OPEN
        clock.now += rest * 0.3
        assert breaker.state() is BreakerState.HALF_OPEN


def test_one_probe_that_is_not_connected_is_enough_to_rest_again(breaker: Breaker, clock: HandClock) -> None:
    fail(breaker, 10)
    clock.now += 6
    breaker.judge(breaker.admit(USERS[0]), HealthSign.UNREACHABLE)
    assert breaker.state() is BreakerState.OPEN
    clock.now += 8
    assert breaker.state() is BreakerState.OPEN


def test_a_probe_that_says_nothing_makes_room_for_the_next_one(breaker: Breaker, clock: HandClock) -> None:
    fail(breaker, 10)
    clock.now += 6
    breaker.judge(breaker.admit(USERS[0]), HealthSign.UNKNOWN)
    breaker.judge(breaker.admit(USERS[0]), HealthSign.GOOD)
    assert breaker.state() is BreakerState.CLOSED


def test_a_call_from_before_the_change_says_nothing_about_now(breaker: Breaker, clock: HandClock) -> None:
    old = breaker.admit(USERS[0])
    fail(breaker, 10)
    clock.now += 6
    probe = breaker.admit(USERS[0])
    breaker.judge(old, HealthSign.GOOD)
    breaker.judge(old, HealthSign.UNKNOWN)
    with pytest.raises(BreakerIsOpen):
        breaker.admit(USERS[0])
    breaker.judge(probe, HealthSign.GOOD)
    assert breaker.state() is BreakerState.CLOSED
