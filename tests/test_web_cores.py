"""Which core each web process gets."""

import pytest

from web_cores import core_for_next


def cores_of(cores: set[int], processes: int) -> list[int | None]:
    used: list[int | None] = []
    for _ in range(processes):
        used.append(core_for_next(cores, used, processes))
    return used


def test_each_core_gets_as_many_processes_as_the_others() -> None:
    assert cores_of({0, 1}, 4) == [0, 1, 0, 1]
    assert cores_of({2, 5, 7}, 3) == [2, 5, 7]


@pytest.mark.parametrize(("cores", "processes"), [({0, 1}, 1), ({0, 1}, 3), (set(range(8)), 4), (set(), 1)])
def test_the_system_moves_processes_that_cannot_be_spread_evenly(cores: set[int], processes: int) -> None:
    assert cores_of(cores, processes) == [None] * processes


def test_a_new_process_takes_the_place_of_the_one_that_ended() -> None:
    assert core_for_next({0, 1}, [1, 0, 1], 4) == 0
