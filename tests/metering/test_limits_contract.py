"""One contract, two backends: whatever Redis answers, PostgreSQL answers too."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import redis
from sqlalchemy import event

from auth.principal import CachedFields
from database.redis.server import KEY_PREFIX
from metering.limits import AccountStateChanged, LimitsUnavailable, PolicyState, Refusal, Reservation, policy_states
from metering.settle import LimitReachedMeanwhile
from sandbox.postgres import EmbeddedPostgres
from sandbox.valkey import EmbeddedValkey
from tests.metering.limit_backends import (
    FEATURE,
    Backend,
    ask,
    backend,
    eventually,
    hammer,
    migrated,
    plan,
    somebody,
)

SLOW_BURST = {"burst": 3, "burst_seconds": 3600}


@pytest.fixture(params=["redis", "postgres"])
def limits(request: pytest.FixtureRequest, database_url: str) -> Iterator[Backend]:
    redis_url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    with backend(database_url, redis_url) as made:
        yield made


@pytest.fixture
def on_redis(database_url: str, redis_url: str) -> Iterator[Backend]:
    with backend(database_url, redis_url) as made:
        yield made


@pytest.fixture
def alice() -> UUID:
    return somebody()


@pytest.fixture
def bob() -> UUID:
    return somebody()


def policy(answer: Reservation | Refusal, name: str) -> PolicyState:
    return next(state for state in answer.policies if state.name == name)


def test_a_day_holds_exactly_its_limit(limits: Backend, alice: UUID) -> None:
    used = [limits.settle(limits.take(alice, plan(5))) for _ in range(5)]
    assert used == [1, 2, 3, 4, 5]
    assert limits.refused(alice, plan(5)).violated == ("day",)


def test_calls_in_flight_count_against_the_day(limits: Backend, alice: UUID) -> None:
    for _ in range(5):
        limits.take(alice, plan(5))
    assert limits.refused(alice, plan(5)).violated == ("day",)


def test_remaining_falls_from_limit_to_nothing(limits: Backend, alice: UUID) -> None:
    taken = [limits.take(alice, plan(3)) for _ in range(3)]
    assert [policy(answer, "day").remaining for answer in taken] == [2, 1, 0]
    assert policy(limits.refused(alice, plan(3)), "day").remaining == 0


def test_one_users_calls_do_not_count_for_another(limits: Backend, alice: UUID, bob: UUID) -> None:
    limits.settle(limits.take(alice, plan(1)))
    assert limits.refused(alice, plan(1)).violated == ("day",)
    limits.take(bob, plan(1))


def test_a_released_call_costs_nothing(limits: Backend, alice: UUID) -> None:
    for _ in range(8):
        limits.limits.release(limits.take(alice, plan(1)))
    limits.settle(limits.take(alice, plan(1)))
    assert limits.used(alice) == 1


def test_releasing_twice_gives_back_once(limits: Backend, alice: UUID) -> None:
    first = limits.take(alice, plan(2))
    limits.take(alice, plan(2))
    limits.limits.release(first)
    limits.limits.release(first)
    limits.take(alice, plan(2))
    assert limits.refused(alice, plan(2)).violated == ("day",)


def test_telling_of_a_settled_call_twice_changes_nothing(limits: Backend, alice: UUID) -> None:
    reservation = limits.take(alice, plan(2))
    used = limits.settle(reservation)
    limits.limits.settled(reservation, used)
    limits.settle(limits.take(alice, plan(2)))
    assert limits.refused(alice, plan(2)).violated == ("day",)


def test_releasing_after_settling_does_not_uncount(limits: Backend, alice: UUID) -> None:
    reservation = limits.take(alice, plan(1))
    limits.settle(reservation)
    limits.limits.release(reservation)
    assert limits.refused(alice, plan(1)).violated == ("day",)


def test_the_same_request_is_reserved_once(limits: Backend, alice: UUID) -> None:
    asked = ask(alice, plan(2, **SLOW_BURST))
    first, again = limits.limits.reserve(asked), limits.limits.reserve(asked)
    assert isinstance(first, Reservation)
    assert isinstance(again, Reservation)
    assert policy(again, "day").remaining == policy(first, "day").remaining == 1
    assert policy(again, "burst").remaining == policy(first, "burst").remaining == 2


def test_a_request_repeated_at_the_limit_is_still_reserved(limits: Backend, alice: UUID) -> None:
    asked = ask(alice, plan(1, concurrency=1))
    assert isinstance(limits.limits.reserve(asked), Reservation)
    assert isinstance(limits.limits.reserve(asked), Reservation)


def test_burst_refuses_what_comes_too_fast(limits: Backend, alice: UUID) -> None:
    slow = plan(None, **SLOW_BURST)
    for left in (2, 1, 0):
        reservation = limits.take(alice, slow)
        assert policy(reservation, "burst").remaining == left
        limits.settle(reservation)
    refused = limits.refused(alice, slow)
    assert refused.violated == ("burst",)
    assert 1190 < refused.retry_after_seconds <= 1200


def test_burst_is_not_given_back(limits: Backend, alice: UUID) -> None:
    slow = plan(None, **SLOW_BURST)
    for _ in range(3):
        limits.limits.release(limits.take(alice, slow))
    assert limits.refused(alice, slow).violated == ("burst",)


def test_burst_refills_with_time(limits: Backend, alice: UUID) -> None:
    fast = plan(None, burst=1, burst_seconds=1)
    limits.settle(limits.take(alice, fast))
    hammer(1, lambda: until_admitted(limits, alice))
    assert limits.used(alice) == 2


def until_admitted(limits: Backend, user: UUID) -> None:
    fast = plan(None, burst=1, burst_seconds=1)
    while isinstance(answer := limits.limits.reserve(ask(user, fast)), Refusal):
        assert answer.violated == ("burst",)
    limits.settle(answer)


def test_concurrency_refuses_and_frees(limits: Backend, alice: UUID) -> None:
    two = plan(None, concurrency=2)
    first = limits.take(alice, two)
    limits.take(alice, two)
    refused = limits.refused(alice, two)
    assert refused.violated == ("concurrency",)
    assert policy(refused, "concurrency").remaining == 0
    limits.settle(first)
    limits.take(alice, two)


def test_a_refused_call_takes_nothing_from_any_policy(limits: Backend, alice: UUID) -> None:
    narrow = plan(10, burst=10, burst_seconds=36000, concurrency=1)
    held = limits.take(alice, narrow)
    for _ in range(5):
        assert limits.refused(alice, narrow).violated == ("concurrency",)
    limits.settle(held)
    after = limits.take(alice, narrow)
    assert policy(after, "day").remaining == 8
    assert policy(after, "burst").remaining == 8


def test_all_violated_policies_are_named(limits: Backend, alice: UUID) -> None:
    one = plan(1, burst=1, burst_seconds=3600, concurrency=1)
    limits.take(alice, one)
    refused = limits.refused(alice, one)
    assert refused.violated == ("day", "burst", "concurrency")
    assert [state.name for state in refused.policies] == ["day", "burst", "concurrency"]


def test_retry_after_is_never_before_the_day_ends(limits: Backend, alice: UUID) -> None:
    limits.settle(limits.take(alice, plan(1)))
    before = datetime.now(UTC)
    refused = limits.refused(alice, plan(1))
    midnight = before.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    assert 0 <= refused.retry_after_seconds - policy(refused, "day").reset_seconds <= 30
    assert before + timedelta(seconds=refused.retry_after_seconds + 1) >= midnight


def test_retry_after_is_at_least_a_second(limits: Backend, alice: UUID) -> None:
    crowded = plan(None, burst=1, burst_seconds=1, concurrency=1)
    limits.take(alice, crowded)
    assert limits.refused(alice, crowded).retry_after_seconds >= 1


def test_a_raised_tier_counts_at_once(limits: Backend, alice: UUID) -> None:
    limits.settle(limits.take(alice, plan(1)))
    assert limits.refused(alice, plan(1)).violated == ("day",)
    assert policy(limits.take(alice, plan(100)), "day").remaining == 98


def test_a_lowered_tier_counts_at_once_and_never_shows_less_than_nothing(limits: Backend, alice: UUID) -> None:
    for _ in range(4):
        limits.settle(limits.take(alice, plan(100)))
    refused = limits.refused(alice, plan(2))
    assert refused.violated == ("day",)
    assert policy(refused, "day").remaining == 0


def test_unlimited_is_counted_but_not_limited(limits: Backend, alice: UUID) -> None:
    for _ in range(7):
        reservation = limits.take(alice, plan(None))
        assert [state.name for state in reservation.policies] == ["burst", "concurrency"]
        limits.settle(reservation)
    assert limits.used(alice) == 7
    assert limits.refused(alice, plan(7)).violated == ("day",)


def test_what_was_used_before_counts(limits: Backend, alice: UUID) -> None:
    counted(limits, alice, 4)
    assert policy(limits.take(alice, plan(5)), "day").remaining == 0
    assert limits.refused(alice, plan(5)).violated == ("day",)


def counted(limits: Backend, user: UUID, used: int, *, days_ago: int = 0) -> None:
    """What another process counted."""
    limits.execute(
        'INSERT INTO usage_counters (user_id, feature, unit, "window", used)'
        " VALUES (:user, :feature, 'call', ((now() AT TIME ZONE 'UTC')::date - :ago)::text, :used)",
        user=user,
        feature=FEATURE,
        ago=days_ago,
        used=used,
    )


def test_yesterday_does_not_count(limits: Backend, alice: UUID) -> None:
    counted(limits, alice, 5, days_ago=1)
    assert policy(limits.take(alice, plan(5)), "day").remaining == 4


def test_a_call_of_yesterday_that_still_runs_counts_for_concurrency_only(limits: Backend, alice: UUID) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    assert isinstance(limits.limits.reserve(ask(alice, plan(1), moment=yesterday)), Reservation)
    taken = limits.take(alice, plan(1, concurrency=2))
    assert policy(taken, "day").remaining == 0
    assert policy(taken, "concurrency").remaining == 0


def test_a_reservation_counts_until_its_lease_ends(limits: Backend, alice: UUID) -> None:
    answer = limits.limits.reserve(ask(alice, plan(1), lease_seconds=0.05))
    assert isinstance(answer, Reservation)
    while isinstance(again := limits.limits.reserve(ask(alice, plan(1))), Refusal):
        assert again.violated == ("day",)
    assert limits.settle(again) == 1


def test_usage_shows_the_policies_and_takes_nothing(limits: Backend, alice: UUID) -> None:
    tariff = plan(5, **SLOW_BURST, concurrency=4)
    limits.settle(limits.take(alice, tariff))
    limits.take(alice, tariff)
    for _ in range(3):
        asked = ask(alice, tariff)
        states = policy_states(asked, limits.limits.usage(asked))
        assert [(state.name, state.remaining) for state in states] == [("day", 3), ("burst", 1), ("concurrency", 3)]


def test_usage_leaves_out_a_call_whose_lease_is_over(limits: Backend, alice: UUID) -> None:
    tariff = plan(5)

    def left() -> int:
        asked = ask(alice, tariff)
        return policy_states(asked, limits.limits.usage(asked))[0].remaining

    assert isinstance(limits.limits.reserve(ask(alice, tariff, lease_seconds=0.05)), Reservation)
    assert eventually(lambda: left() == 5)


def test_a_call_beyond_the_limit_is_refused_when_it_is_counted(limits: Backend, alice: UUID) -> None:
    taken = limits.take(alice, plan(1))
    counted(limits, alice, 1)  # as by a process that knows nothing of this one's reservations
    with pytest.raises(LimitReachedMeanwhile):
        limits.settle(taken)
    assert limits.used(alice) == 1
    assert limits.refused(alice, plan(1)).violated == ("day",)


def test_of_calls_counted_together_only_those_beyond_the_limit_are_refused(limits: Backend, alice: UUID) -> None:
    taken = [limits.take(alice, plan(5)) for _ in range(5)]
    counted(limits, alice, 2)
    delivered = []

    def settle() -> None:
        with suppress(LimitReachedMeanwhile):
            delivered.append(limits.settle(taken.pop()))

    hammer(5, settle)
    assert sorted(delivered) == [3, 4, 5]


def test_a_lowered_tier_refuses_no_call_that_was_reserved_before(limits: Backend, alice: UUID) -> None:
    taken = limits.take(alice, plan(100))
    counted(limits, alice, 7)
    assert limits.settle(taken) == 8
    assert limits.refused(alice, plan(5)).violated == ("day",)


def test_a_count_that_redis_lost_or_has_too_low_is_read_anew_after_the_first_refusal(
    on_redis: Backend, alice: UUID
) -> None:
    for _ in range(5):
        on_redis.settle(on_redis.take(alice, plan(5)))
    client = on_redis.redis()
    (counter,) = client.keys(f"{KEY_PREFIX}used:*")
    client.set(counter, 3)  # as after a restore from an older snapshot
    in_vain = on_redis.take(alice, plan(5))
    with pytest.raises(LimitReachedMeanwhile):
        on_redis.settle(in_vain)
    assert on_redis.refused(alice, plan(5)).violated == ("day",)
    client.flushall()
    assert on_redis.refused(alice, plan(5)).violated == ("day",)


def test_calls_that_end_while_redis_rests_hold_no_place_when_it_is_asked_again(on_redis: Backend, alice: UUID) -> None:
    two = plan(5, concurrency=2)
    first, second = on_redis.take(alice, two), on_redis.take(alice, two)
    on_redis.server.failed()
    on_redis.settle(first)
    on_redis.limits.release(second)
    eventually(on_redis.server.client)
    assert policy(on_redis.take(alice, two), "day").remaining == 3
    on_redis.take(alice, two)


@pytest.mark.slow
def test_a_call_that_redis_admitted_unheard_holds_no_place(
    database_url: str, own_valkey: EmbeddedValkey, alice: UUID
) -> None:
    two = plan(5, concurrency=2)
    with backend(database_url, own_valkey.url) as made:
        made.settle(made.take(alice, two))
        own_valkey.pause()
        unheard = made.take(alice, two)
        assert unheard.in_postgres
        own_valkey.resume()
        made.settle(unheard)
        eventually(made.server.client)
        taken = [made.take(alice, two), made.take(alice, two)]
        assert not any(each.in_postgres for each in taken)


def test_what_redis_says_of_one_users_keys_sends_nobody_else_away(on_redis: Backend, alice: UUID, bob: UUID) -> None:
    on_redis.take(alice, plan(5))
    (held,) = on_redis.redis().keys(f"{KEY_PREFIX}held:*")
    on_redis.redis().set(held, "not a set")
    assert on_redis.take(alice, plan(5)).in_postgres
    assert not on_redis.take(bob, plan(5)).in_postgres


def test_a_changed_account_state_is_noticed_and_nothing_is_written(on_redis: Backend, alice: UUID) -> None:
    key = f"{KEY_PREFIX}state:{alice}"
    on_redis.redis().hset(key, mapping={"u": "1:free", "s:1": "1"})
    asked = ask(alice, plan(1))
    good = CachedFields(key, ("u", "s:1"), ("1:free", "1"))
    for bad in (replace(good, values=("1:pro", "1")), replace(good, fields=("u", "s:2")), replace(good, key=key + "x")):
        with pytest.raises(AccountStateChanged):
            on_redis.limits.reserve(replace(asked, cached=bad))
    assert isinstance(on_redis.limits.reserve(replace(asked, cached=good)), Reservation)


def test_without_redis_a_cached_account_state_cannot_be_believed(database_url: str, alice: UUID) -> None:
    with backend(database_url, None) as made, pytest.raises(AccountStateChanged):
        made.limits.reserve(replace(ask(alice, plan(1)), cached=CachedFields("mos:1:state", ("u",), ("1",))))


def test_an_accepted_call_takes_two_redis_commands_and_a_refused_one_takes_one(
    on_redis: Backend, alice: UUID, redis_url: str
) -> None:
    on_redis.settle(on_redis.take(alice, plan(2)))
    checkouts: list[object] = []
    event.listen(on_redis.engine, "checkout", lambda *_: checkouts.append(1))
    with commands_sent(redis_url) as count:
        reservation = on_redis.take(alice, plan(2))
        assert count() == 1
        assert not checkouts
        on_redis.limits.settled(reservation, 2)
        while count() == 1:  # it is told and not waited for
            time.sleep(0.01)
        assert count() == 2
        on_redis.refused(alice, plan(2))
        assert count() == 3
        assert not checkouts


class commands_sent:  # noqa: N801 - reads as a function
    """Counts what arrived at the server, as the server counts it: each of our commands is one read from a socket."""

    def __init__(self, redis_url: str) -> None:
        self.client = redis.Redis.from_url(redis_url)

    def __enter__(self) -> "commands_sent":
        self.client.ping()
        self.own = 0
        self.before = self._total()
        return self

    def _total(self) -> int:
        self.own += 1
        return int(self.client.info("stats")["total_reads_processed"]) - self.own

    def __call__(self) -> int:
        return self._total() - self.before

    def __exit__(self, *_: object) -> None:
        self.client.close()


def test_every_key_in_redis_ends_by_itself(on_redis: Backend, alice: UUID) -> None:
    on_redis.settle(on_redis.take(alice, plan(5)))
    on_redis.take(alice, plan(5))
    client = on_redis.redis()
    keys = client.keys("*")
    assert len(keys) == 4
    assert all(0 < client.ttl(key) <= 2 * 86_400 for key in keys)


def test_with_postgres_stopped_nothing_is_admitted_and_afterwards_all_is_exact(
    own_postgres: EmbeddedPostgres, alice: UUID
) -> None:
    url = own_postgres.ensure_database("limits")
    migrated(url)
    with backend(url, None) as made:
        made.settle(made.take(alice, plan(2)))
        own_postgres.stop()
        with pytest.raises(LimitsUnavailable):
            made.limits.reserve(ask(alice, plan(2)))
        own_postgres.start()
        made.settle(made.take(alice, plan(2)))
        assert made.refused(alice, plan(2)).violated == ("day",)
