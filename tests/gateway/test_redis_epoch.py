"""When Redis is trusted, when it is left, and when it comes back. Processes are `RedisEpoch`s; other ones are rows."""

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from uuid import uuid4

import pytest
import redis
from sqlalchemy import text

from database.redis_connections import RedisAddress, RedisUnfit, announce_epoch, connect
from database.redis_epoch import StillAsking
from gateway.in_flight import Call, CallsInFlight
from gateway.limits import LimitsUnavailable, Refusal
from sandbox.postgres import EmbeddedPostgres
from sandbox.valkey import EmbeddedValkey
from tests.gateway.limit_backends import (
    FEATURE,
    QUICK,
    Backend,
    ask,
    backend,
    eventually,
    migrated,
    plan,
    somebody,
)

NEVER_DRAINED = replace(QUICK, drain=3600.0)


@pytest.fixture
def made(database_url: str, own_valkey: EmbeddedValkey) -> Iterator[Backend]:
    with backend(database_url, own_valkey.url, NEVER_DRAINED) as running:
        running.lease()
        yield running


def epoch_row(made: Backend) -> tuple[int, str]:
    with made.engine.connect() as connection:
        number, name = connection.execute(text("SELECT number, backend FROM redis_epoch")).one()
        return int(number), str(name)


def other_member(made: Backend, *, epoch: int, alive_seconds: float, reaches_redis: bool = True) -> None:
    """Another process's row."""
    made.execute(
        "INSERT INTO redis_epoch_members VALUES (:id, :epoch, now() + :alive * interval '1 second', :reaches)",
        id=uuid4(),
        epoch=epoch,
        alive=alive_seconds,
        reaches=reaches_redis,
    )


def drain(made: Backend) -> None:
    """Let time pass for the members that died."""
    made.execute(
        "UPDATE redis_epoch_members SET alive_until = alive_until - interval '2 hours' WHERE alive_until < now()"
    )


def freeze(valkey: EmbeddedValkey) -> None:
    assert valkey.process is not None
    os.kill(valkey.process.pid, signal.SIGSTOP)


def thaw(valkey: EmbeddedValkey) -> None:
    assert valkey.process is not None
    os.kill(valkey.process.pid, signal.SIGCONT)


def test_the_first_question_finds_redis_in_use(database_url: str, redis_url: str) -> None:
    with backend(database_url, redis_url) as fresh:
        assert fresh.leases.current() is not None


def test_all_processes_share_an_epoch_and_later_ones_join_it(
    made: Backend, database_url: str, own_valkey: EmbeddedValkey
) -> None:
    with backend(database_url, own_valkey.url) as second:
        assert second.lease().epoch == made.lease().epoch


def test_with_redis_unreachable_from_the_start_postgres_admits(database_url: str, own_valkey: EmbeddedValkey) -> None:
    own_valkey.kill()
    with backend(database_url, own_valkey.url) as running:
        assert running.limits.held_in_postgres(running.take(somebody(), plan(5)))


def test_a_killed_redis_is_left_and_its_calls_move_to_postgres(made: Backend, own_valkey: EmbeddedValkey) -> None:
    alice = somebody()
    before = made.take(alice, plan(2))
    own_valkey.kill()
    made.take(alice, plan(2))
    assert made.reservations() == 2
    assert made.refused(alice, plan(2)).violated == ("day",)
    assert made.limits.held_in_postgres(before)
    made.settle(before)
    assert made.reservations() == 1


def test_a_call_released_after_the_move_is_given_back(made: Backend, own_valkey: EmbeddedValkey) -> None:
    alice = somebody()
    before = made.take(alice, plan(1))
    own_valkey.kill()
    made.refused(alice, plan(1))
    made.limits.release(before)
    made.take(alice, plan(1))


def test_redis_that_came_back_is_used_again_under_a_new_epoch(made: Backend, own_valkey: EmbeddedValkey) -> None:
    alice, first = somebody(), made.lease()
    held = made.take(alice, plan(3))
    own_valkey.kill()
    other = made.take(alice, plan(3))
    own_valkey.start()
    second = made.lease()
    assert second.epoch > first.epoch
    assert second.prefix != first.prefix
    made.take(alice, plan(3))
    assert made.refused(alice, plan(3)).violated == ("day",)
    made.settle(held)
    made.limits.release(other)
    made.take(alice, plan(3))
    assert made.refused(alice, plan(3)).violated == ("day",)


def test_an_emptied_redis_is_left(made: Backend) -> None:
    alice, lease = somebody(), made.lease()
    made.take(alice, plan(1))
    lease.client.flushall()
    assert made.refused(alice, plan(1)).violated == ("day",)
    assert made.lease().epoch > lease.epoch


def test_a_frozen_redis_is_left_and_its_late_grant_is_not_used(made: Backend, own_valkey: EmbeddedValkey) -> None:
    alice, lease = somebody(), made.lease()
    freeze(own_valkey)
    try:
        first = made.take(alice, plan(2))
    finally:
        thaw(own_valkey)
    assert made.limits.held_in_postgres(first)
    assert made.lease().epoch > lease.epoch
    made.take(alice, plan(2))
    assert made.refused(alice, plan(2)).violated == ("day",)


def test_a_connection_to_another_run_is_refused(own_valkey: EmbeddedValkey) -> None:
    address = RedisAddress(own_valkey.url)
    run_id = announce_epoch(address, "mos:1:epoch")
    assert connect(address, run_id).ping()
    own_valkey.kill()
    own_valkey.start()
    with pytest.raises(redis.ConnectionError, match="started again"):
        connect(address, run_id).ping()


def test_a_redis_that_may_evict_keys_is_not_used(database_url: str, own_valkey: EmbeddedValkey) -> None:
    client = redis.Redis.from_url(own_valkey.url)
    client.config_set("maxmemory", "100mb")
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.close()
    with pytest.raises(RedisUnfit, match="noeviction"):
        announce_epoch(RedisAddress(own_valkey.url), "mos:1:epoch")
    with backend(database_url, own_valkey.url) as running:
        assert running.take(somebody(), plan(1)).epoch is None


def test_a_living_member_that_has_not_acknowledged_blocks_postgres(made: Backend, own_valkey: EmbeddedValkey) -> None:
    other_member(made, epoch=made.lease().epoch, alive_seconds=60)
    own_valkey.kill()
    with pytest.raises(LimitsUnavailable):
        made.limits.reserve(ask(somebody(), plan(5)))


def test_a_member_that_died_unheard_leaves_doubt_until_it_has_drained(
    made: Backend, own_valkey: EmbeddedValkey
) -> None:
    alice, bob, five = somebody(), somebody(), plan(5, concurrency=2)
    other_member(made, epoch=made.lease().epoch, alive_seconds=0)
    own_valkey.kill()
    for _ in range(3):
        made.settle(made.take(alice, five))
    with pytest.raises(LimitsUnavailable) as doubt:
        made.limits.reserve(ask(alice, five))
    assert 3500 < int(doubt.value.headers["Retry-After"]) <= 3600
    made.take(bob, plan(None))
    drain(made)
    for _ in range(2):
        made.settle(made.take(alice, five))
    assert made.refused(alice, five).violated == ("day",)


def test_redis_stays_away_until_a_member_that_died_unheard_has_drained(made: Backend) -> None:
    lease = made.lease()
    other_member(made, epoch=lease.epoch, alive_seconds=0)
    made.execute("SELECT leave_redis(:epoch)", epoch=lease.epoch)
    number, name = epoch_row(made)
    assert name == "postgres"
    assert not entered(made, number)
    drain(made)
    assert eventually(lambda: epoch_row(made) == (number + 1, "redis"))


def entered(made: Backend, number: int) -> bool:
    with made.engine.begin() as connection:
        statement = text("SELECT enter_redis(:number, 'a run', interval '1 hour')")
        return bool(connection.execute(statement, {"number": number}).scalar_one())


def test_redis_stays_away_while_a_living_member_cannot_reach_it(made: Backend) -> None:
    lease = made.lease()
    made.execute("SELECT leave_redis(:epoch)", epoch=lease.epoch)
    other_member(made, epoch=lease.epoch + 1, alive_seconds=60, reaches_redis=False)
    number, _ = epoch_row(made)
    assert not entered(made, number)


def test_a_process_without_redis_moves_the_others_to_postgres(made: Backend, database_url: str) -> None:
    alice = somebody()
    made.take(alice, plan(2))
    with backend(database_url, None) as without:
        eventually(lambda: without.limits.reserve(ask(alice, plan(2))) if made.leases.current() else None)
    assert isinstance(made.limits.reserve(ask(alice, plan(2))), Refusal)


def test_a_process_that_cannot_reach_postgres_stops_trusting_redis_and_starts_again(
    own_postgres: EmbeddedPostgres, redis_url: str
) -> None:
    url = own_postgres.ensure_database("epochs")
    migrated(url)
    with backend(url, redis_url) as running:
        before = running.lease()
        own_postgres.stop()
        eventually(lambda: running.leases.current() is None)
        with pytest.raises(LimitsUnavailable):
            running.limits.reserve(ask(somebody(), plan(1)))
        own_postgres.start()
        assert running.lease() is before


def test_a_process_that_ends_leaves_nothing_to_wait_for(database_url: str, own_valkey: EmbeddedValkey) -> None:
    with backend(database_url, own_valkey.url) as first:
        first.lease()
        first.take(somebody(), plan(5))
    with backend(database_url, None) as after:
        assert after.reservations() == 1
        with after.engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM redis_epoch_members")).scalar_one() == 0


def test_a_question_to_redis_without_an_answer_holds_the_move_back() -> None:
    calls, alice = CallsInFlight(), somebody()
    request, question = uuid4(), Call(1, alice, FEATURE, lease_ends=1e12)
    assert calls.ask(request, question)
    with pytest.raises(StillAsking), calls.publish(None, 2):
        pass
    calls.not_granted(request, question)
    with calls.publish(None, 2):
        pass
    assert not calls.ask(uuid4(), Call(1, alice, FEATURE, lease_ends=1e12))
    assert calls.ask(uuid4(), Call(2, alice, FEATURE, lease_ends=1e12))


def test_a_call_that_is_being_settled_is_waited_for_so_that_it_counts_once() -> None:
    calls, alice = CallsInFlight(), somebody()
    request = uuid4()
    assert calls.ask(request, Call(1, alice, FEATURE, lease_ends=1e12))
    calls.granted(request, date(2024, 5, 1))
    assert calls.settling(request) is False
    settled = threading.Timer(0.05, calls.forget, (request,))
    settled.start()
    with calls.publish(None, 2):
        assert calls._calls == {}
    settled.join()
