"""Amounts of any unit: reserved in PostgreSQL before the call, exact under any number of parallel calls."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from uuid import UUID

import pytest

from database.base import utc_now, uuid7
from metering.limits import CALL, Ask, Burst, Draw, Refusal, Reservation, policy_states
from metering.settle import LimitReachedMeanwhile
from metering.windows import day_of, hour_of, month_of
from tests.metering.limit_backends import Backend, backend, eventually, hammer, somebody

SPAWN = get_context("spawn")
PRICE = 700
"""One call's amount. The budget of ten such calls has a rest that is too small for another."""
BUDGET = 10 * PRICE + 300


def chat(
    user: UUID, *, at_least: int = PRICE, at_most: int = PRICE, allowed: int | None = BUDGET, lease_seconds: float = 60
) -> Ask:
    """A call of a feature with a budget of tokens a month."""
    now = utc_now()
    return Ask(
        request_id=uuid7(),
        user_id=user,
        feature="chat",
        draws=(
            Draw("day", "chat", CALL, day_of(now), None),
            Draw("tokens", "account", "token", month_of(now), allowed, at_least, at_most),
        ),
        hour=hour_of(now),
        burst=Burst(1000, 1),
        concurrency=1000,
        failures_per_hour=None,
        cached=None,
        lease_seconds=lease_seconds,
    )


@pytest.fixture
def limits(database_url: str) -> Iterator[Backend]:
    with backend(database_url, None) as made:
        yield made


def taken(limits: Backend, asked: Ask) -> Reservation:
    answer = limits.limits.reserve(asked)
    assert isinstance(answer, Reservation), answer
    return answer


def refused(limits: Backend, asked: Ask) -> Refusal:
    answer = limits.limits.reserve(asked)
    assert isinstance(answer, Refusal), answer
    return answer


def left(limits: Backend, user: UUID) -> int:
    asked = chat(user)
    return next(state.remaining for state in policy_states(asked, limits.limits.usage(asked)) if state.name == "tokens")


def test_a_call_is_granted_what_is_left_between_its_least_and_its_most(limits: Backend) -> None:
    alice = somebody()
    assert taken(limits, chat(alice, at_least=1, at_most=BUDGET - 100)).amounts == (1, BUDGET - 100)
    assert taken(limits, chat(alice, at_least=50, at_most=800)).amounts == (1, 100)
    assert refused(limits, chat(alice, at_least=1, at_most=1)).violated == ("tokens",)


def test_what_was_not_used_comes_back_when_the_call_is_settled(limits: Backend) -> None:
    alice = somebody()
    reservation = taken(limits, chat(alice, at_least=1, at_most=BUDGET))
    assert left(limits, alice) == 0
    limits.settle(reservation, (1, 200))
    assert left(limits, alice) == BUDGET - 200
    assert limits.reservations() == 0


def test_a_released_amount_costs_nothing(limits: Backend) -> None:
    alice = somebody()
    limits.limits.release(taken(limits, chat(alice)))
    assert (left(limits, alice), limits.used(alice), limits.reservations()) == (BUDGET, 0, 0)


def test_all_draws_are_taken_or_none(limits: Backend) -> None:
    alice = somebody()
    limits.settle(taken(limits, chat(alice, at_most=BUDGET)), (1, BUDGET))
    assert refused(limits, chat(alice)).violated == ("tokens",)
    assert limits.reservations() == 0


def test_an_unlimited_amount_is_counted(limits: Backend) -> None:
    alice = somebody()
    limits.settle(taken(limits, chat(alice, allowed=None, at_most=10**12)), (1, 10**12))
    assert limits.used(alice) == 10**12 + 1


def test_one_unit_may_have_a_limit_a_day_and_a_limit_a_month(limits: Backend) -> None:
    alice, now = somebody(), utc_now()
    both = (
        Draw("day", "chat", CALL, day_of(now), None),
        Draw("tokens_day", "account", "token", day_of(now), 500, 1, 400),
        Draw("tokens", "account", "token", month_of(now), 600, 1, 400),
    )
    first = taken(limits, replace(chat(alice), draws=both))
    assert first.amounts == (1, 400, 400)
    limits.settle(first)
    assert taken(limits, replace(chat(alice), draws=both)).amounts == (1, 100, 200)


def test_the_same_call_is_granted_the_same_again(limits: Backend) -> None:
    asked = chat(somebody(), at_least=1, at_most=BUDGET)
    assert taken(limits, asked).amounts == taken(limits, asked).amounts == (1, BUDGET)


def test_a_stream_that_was_read_is_counted_beyond_the_limit(limits: Backend) -> None:
    alice = somebody()
    reservation = taken(limits, chat(alice, allowed=None))
    limits.settle(reservation, (1, 2 * BUDGET))
    assert refused(limits, chat(alice)).violated == ("tokens",)
    assert left(limits, alice) == 0


def test_a_reservation_lives_as_long_as_it_is_extended(limits: Backend) -> None:
    alice = somebody()
    reservation = taken(limits, chat(alice, at_most=BUDGET, lease_seconds=0.3))
    assert limits.limits.extend(reservation, 60)
    assert left(limits, alice) == 0
    assert limits.limits.extend(reservation, 0.01)
    eventually(lambda: left(limits, alice) == BUDGET)
    assert not limits.limits.extend(reservation, 60)


@pytest.mark.slow
def test_sixty_four_threads_in_four_processes_make_exactly_ten_calls(database_url: str) -> None:
    alice = somebody()
    assert sum(delivered_by_processes(database_url, alice, 4)) == 10
    with backend(database_url, None) as made:
        assert made.used(alice) == 10 * PRICE + 10


@pytest.mark.slow
def test_a_killed_process_delays_the_rest_until_its_leases_end(database_url: str) -> None:
    alice = somebody()
    with backend(database_url, None) as made:
        victim = SPAWN.Process(target=hold_three_and_die, args=(database_url, alice))
        victim.start()
        victim.join()
        assert left(made, alice) == BUDGET - 3 * PRICE
        assert sum(delivered_by_processes(database_url, alice, 3)) == 7
        made.execute("UPDATE usage_reservations SET lease_until = now()")
        assert sum(delivered_by_processes(database_url, alice, 1)) == 3
        assert made.used(alice) == 10 * PRICE + 10


def hold_three_and_die(database_url: str, user: UUID) -> None:
    with backend(database_url, None) as made:
        for _ in range(3):
            taken(made, chat(user))
        os.kill(os.getpid(), signal.SIGKILL)


def delivered_by_processes(database_url: str, user: UUID, processes: int) -> list[int]:
    results, go = SPAWN.Queue(), SPAWN.Barrier(processes)
    running = [SPAWN.Process(target=one_process, args=(database_url, user, go, results)) for _ in range(processes)]
    for process in running:
        process.start()
    delivered = [results.get(timeout=60) for _ in running]
    for process in running:
        process.join()
    return delivered


def one_process(database_url: str, user: UUID, go: Barrier, results: "object") -> None:
    with backend(database_url, None) as made:
        go.wait(60)
        delivered = sum(hammer(16, lambda: calls_until_refused(made, user)))
    results.put(delivered)  # type: ignore[attr-defined]


def calls_until_refused(made: Backend, user: UUID) -> int:
    delivered = 0
    while isinstance(answer := made.limits.reserve(chat(user)), Reservation):
        with suppress(LimitReachedMeanwhile):
            made.settle(answer)
            delivered += 1
    return delivered
