"""Places in one process: the lower tier is turned away first, and nobody waits long."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from auth.tiers import Tier
from examples.private_server.switches import Switches
from metering.bulkhead import Bulkhead, TooManyInFlight
from tests.gateway.running_gateway import running_gateway


def test_a_lower_share_is_refused_before_a_higher_one() -> None:
    bulkhead = Bulkhead(10, longest_wait=0)
    for _ in range(7):
        bulkhead.enter(0.7)
    with pytest.raises(TooManyInFlight):
        bulkhead.enter(0.7)
    for _ in range(2):
        bulkhead.enter(0.9)
    with pytest.raises(TooManyInFlight):
        bulkhead.enter(0.9)
    bulkhead.enter(1.0)
    with pytest.raises(TooManyInFlight) as refused:
        bulkhead.enter(1.0)
    assert refused.value.headers["Retry-After"] == "1"
    assert bulkhead.taken == 10


def test_a_place_that_is_left_can_be_taken() -> None:
    bulkhead = Bulkhead(1, longest_wait=0)
    bulkhead.enter(1.0)
    bulkhead.leave()
    bulkhead.enter(1.0)


def test_who_waits_gets_the_place_that_is_left() -> None:
    bulkhead = Bulkhead(1, longest_wait=30)
    bulkhead.enter(1.0)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(bulkhead.enter, 1.0)
        while not bulkhead._waiting:
            pass
        bulkhead.leave()
        waiting.result(timeout=10)
    assert bulkhead.taken == 1


def test_the_smallest_share_still_is_one_place() -> None:
    bulkhead = Bulkhead(1, longest_wait=0)
    bulkhead.enter(0.01)
    assert bulkhead.taken == 1


def test_many_threads_never_hold_more_than_there_are() -> None:
    bulkhead, most = Bulkhead(3, longest_wait=30), []

    def visit(_: int) -> None:
        bulkhead.enter(1.0)
        most.append(bulkhead.taken)
        bulkhead.leave()

    with ThreadPoolExecutor(20) as threads:
        list(threads.map(visit, range(400)))
    assert (max(most) <= 3, bulkhead.taken) == (True, 0)


def test_a_full_process_refuses_the_lower_tier_and_reserves_nothing(database_url: str) -> None:
    with (
        running_gateway(database_url, places=2, bulkhead_wait=0, timeout=10) as gateway,
        ThreadPoolExecutor(1) as threads,
    ):
        gateway.private.switches = Switches(delay_seconds=0.5)
        running = threads.submit(gateway.ask, tier=Tier.ENTERPRISE)
        while gateway.proxy.calls.bulkhead.taken == 0:
            pass
        refused = gateway.ask(tier=Tier.FREE)
        assert (refused.status_code, refused.get_json()["error"]) == (503, "service_unavailable")
        assert "Retry-After" in refused.headers
        assert gateway.ask(tier=Tier.ENTERPRISE).status_code == 200
        assert running.result().status_code == 200
        assert (gateway.private.seen.predictions, len(gateway.requests()), gateway.reserved()) == (2, 2, 0)
