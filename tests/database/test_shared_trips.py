"""What goes together goes once, whoever gives up waiting in the same moment."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from database.shared_trips import SharedTrips, TripNotCompleted


def test_whoever_gives_up_in_the_moment_in_which_it_is_to_lead_leads() -> None:
    """Its wait ends, and before it can leave the line the one before it has passed the lead on."""
    carried: list[int] = []

    def carry(items: Sequence[int]) -> Sequence[int]:
        time.sleep(0.0005)
        carried.extend(items)
        return items

    trips = SharedTrips[int, int](carry, largest=2)
    came_back: list[int] = []

    def work(first: int) -> None:
        for number in range(first, first + 400):
            try:
                came_back.append(trips.submit(number, longest_wait=0.0008))
            except TripNotCompleted:
                continue

    with ThreadPoolExecutor(8) as threads:
        for ended in [threads.submit(work, 1000 * number) for number in range(8)]:
            ended.result()
    assert len(carried) == len(set(carried))
    assert set(came_back) <= set(carried)
    assert trips.submit(-1, longest_wait=10) == -1
