"""Calls that no request waits for: begun, kept, and ended by whoever has them."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from uuid import UUID

import pytest
from flask import Flask

from database.engine import EngineOptions, writer_connection
from metering.breaker import Breaker, BreakerIsOpen, BreakerRules, BreakerState, HealthSign
from metering.idempotency import IdempotencyKeyReused, RequestStillRunning
from metering.metered_calls import Delivered, OpenCall
from metering.purge import sweep_reservations
from metering.rate_limit_headers import RateLimitExceeded, TooManyFailures
from metering.settle import Outcome, Settlement, call_writer
from tests.bare_app import bare_app, disconnect
from tests.metering.limit_backends import hammer
from tests.metering.toy_chat import BUDGET, PER_CALL, Chat, ModelFailed, toy_chat
from tests.metric_values import rising


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    app = bare_app(database_url)
    with app.app_context():
        yield app
    disconnect(app)


@pytest.fixture
def chat(app: Flask, database_url: str) -> Iterator[Chat]:
    with toy_chat(database_url) as chat:
        yield chat


def lease_is_over(chat: Chat) -> None:
    """Of all calls, long ago."""
    chat.rows(
        "UPDATE usage_reservations SET created_at = now() - interval '2 hours', lease_until = now() - interval '1 hour' RETURNING 1"
    )


def test_a_call_holds_a_place_and_tokens_until_it_ends(chat: Chat) -> None:
    call = chat.begin()
    held = {row["unit"]: row["amount"] for row in chat.rows("SELECT unit, amount FROM usage_reservations")}
    assert (held, chat.calls.bulkhead.taken, chat.tokens()) == ({"call": 1, "token": PER_CALL}, 1, 0)
    assert 'tokens";r=900' in call.headers["RateLimit"]
    assert ';qu="tokens",' in call.headers["RateLimit-Policy"]
    call.tally.amounts[1] = 40
    assert call.answered()
    assert (chat.tokens(), chat.in_flight(), chat.outcomes()) == (40, 0, [("delivered", None)])


def test_a_call_is_granted_what_is_left_between_least_and_most(chat: Chat) -> None:
    chat.at_least, chat.at_most = 150, 700
    first, second = chat.begin(), chat.begin()
    assert [call.granted("tokens") for call in (first, second)] == [700, 300]
    assert first.granted("day") == 1
    assert second.headers["X-RateLimit-Policy"] == "day"  # no token is left, but these fields are about requests
    with pytest.raises(RateLimitExceeded) as refusal:
        chat.begin()
    assert refusal.value.members["violated-policies"] == ["tokens"]
    assert refusal.value.detail == "Your plan does not have enough tokens left for this request"
    first.released()
    assert chat.begin().granted("tokens") == 700


def test_what_was_used_beyond_the_hold_is_counted_in_full(chat: Chat) -> None:
    call = chat.begin()
    call.tally.amounts[1] = BUDGET + 500
    assert call.answered()
    assert chat.tokens() == BUDGET + 500
    with pytest.raises(RateLimitExceeded):
        chat.begin()


def test_what_was_stopped_is_counted_as_far_as_it_came(chat: Chat) -> None:
    call = chat.begin()
    call.tally.amounts[1] = 30
    assert call.answered(Outcome.CUT_SHORT)
    assert (chat.tokens(), chat.outcomes()) == (30, [("cut_short", None)])


def test_a_failure_costs_nothing_and_counts_in_the_hours_failures(chat: Chat) -> None:
    chat.failures_per_hour = 3
    for _ in range(3):
        call = chat.begin()
        call.tally.cost_micros = 77
        call.failed(ModelFailed("overloaded"))
    assert (chat.tokens(), chat.in_flight(), set(chat.outcomes())) == (0, 0, {("failed", "overloaded")})
    assert chat.rows("SELECT DISTINCT price_micros, cost_micros FROM request_logs") == [
        {"price_micros": 0, "cost_micros": 77}
    ]
    with pytest.raises(TooManyFailures):
        chat.begin()


def test_what_was_released_before_it_was_sent_writes_nothing(chat: Chat) -> None:
    chat.begin(key="k").released()
    tables = ("request_logs", "usage_counters", "usage_reservations", "idempotency_keys")
    assert [chat.rows(f"SELECT 1 FROM {table}") for table in tables] == [[]] * 4
    assert chat.calls.bulkhead.taken == 0


def test_only_the_first_end_of_a_call_has_an_effect(chat: Chat) -> None:
    for _ in range(3):
        call = chat.begin()
        call.tally.amounts[1] = 7
        call.answered()
        call.failed(ModelFailed("overloaded"))
        call.released()
        assert not call.answered()
    assert (chat.tokens(), chat.in_flight(), chat.outcomes()) == (21, 0, [("delivered", None)] * 3)


def test_ends_that_come_at_the_same_time_are_one(chat: Chat) -> None:
    call = chat.begin()
    call.tally.amounts[1] = 7
    assert sorted(hammer(8, call.answered)) == [False] * 7 + [True]
    assert (chat.tokens(), chat.in_flight()) == (7, 0)


def test_a_breaker_learns_from_a_call_how_its_upstream_is(chat: Chat) -> None:
    class Unreachable(ModelFailed):
        health = ModelFailed.health.UNREACHABLE

    chat.calls = replace(chat.calls, breaker=Breaker(BreakerRules(connect_failures=2)))
    first, second, third = (chat.begin() for _ in range(3))
    first.failed(Unreachable("connect_failed", sent=0))
    second.answered(Outcome.CUT_SHORT)  # says nothing: its reader left
    third.failed(Unreachable("connect_failed", sent=0))
    assert chat.calls.breaker.state() is BreakerState.OPEN
    assert chat.rows("SELECT 1 FROM usage_counters WHERE unit = 'failure'") == []


def test_a_call_may_move_to_another_upstream_and_each_breaker_learns_of_its_own(chat: Chat) -> None:
    rules = BreakerRules(connect_failures=1)
    first, second = Breaker(rules), Breaker(rules)
    chat.calls = replace(chat.calls, breaker=first)
    call = chat.begin()
    call.moved(second, HealthSign.UNREACHABLE)
    assert (first.state(), second.state()) == (BreakerState.OPEN, BreakerState.CLOSED)
    with pytest.raises(BreakerIsOpen):
        call.moved(first, HealthSign.UNREACHABLE)
    assert second.state() is BreakerState.CLOSED
    assert call.answered()
    assert (chat.in_flight(), second.state()) == (0, BreakerState.CLOSED)


def test_a_lease_is_kept_by_extending_it(chat: Chat) -> None:
    call = chat.begin(lease_seconds=60)
    before = "SELECT 1 FROM usage_reservations WHERE lease_until < now() + interval '55 seconds'"
    chat.rows("UPDATE usage_reservations SET lease_until = now() + interval '10 seconds' RETURNING 1")
    assert len(chat.rows(before)) == 2
    assert call.extend()
    assert chat.rows(before) == []


def test_whose_lease_is_over_is_told_and_counts_all_the_same(chat: Chat) -> None:
    chat.concurrency = 1
    call = chat.begin()
    lease_is_over(chat)
    assert not call.extend()
    chat.begin().released()  # others may have what it held
    assert sweep_reservations() == 2
    assert chat.outcomes() == [("abandoned", "abandoned")]
    call.tally.amounts[1] = 40
    assert call.answered()
    assert (chat.tokens(), chat.outcomes()) == (40, [("delivered", None)])


def test_a_key_whose_call_is_running_names_it(chat: Chat) -> None:
    call = chat.begin(key="k")
    with pytest.raises(RequestStillRunning) as running:
        chat.begin(key="k")
    assert running.value.request_id == call.running.request_id
    chat.concurrency = 1  # what is refused otherwise is told of the running one too
    with pytest.raises(RequestStillRunning):
        chat.begin(key="k")
    assert len(chat.rows("SELECT 1 FROM usage_reservations")) == 2
    with pytest.raises(IdempotencyKeyReused):
        chat.calls.begin(chat.alice, replace(chat.work("k"), fingerprint="1" * 64))


@pytest.mark.parametrize("outcome", [Outcome.DELIVERED, Outcome.CUT_SHORT])
def test_what_a_call_kept_under_its_key_answers_for_it(chat: Chat, outcome: Outcome) -> None:
    call = chat.begin(key="k")
    call.tally.answer = '{"message_id":"1"}'
    call.answered(outcome)
    again = chat.calls.begin(chat.alice, chat.work("k"))
    assert isinstance(again, Delivered)
    assert (again.body, again.headers) == (b'{"message_id":"1"}', {"Idempotency-Replayed": "true"})


def test_a_key_whose_call_failed_may_be_used_again(chat: Chat) -> None:
    chat.begin(key="k").failed(ModelFailed("overloaded"))
    assert chat.begin(key="k").answered()


def test_of_many_begins_with_one_key_only_one_takes_anything(chat: Chat, app: Flask) -> None:
    chat.concurrency = 1
    claimed: list[OpenCall] = []

    def begin() -> UUID | None:
        with app.app_context():
            try:
                claimed.append(chat.begin(key="k"))
            except RequestStillRunning as running:
                return running.request_id
            return claimed[0].running.request_id

    assert set(hammer(20, begin)) == {claimed[0].running.request_id}
    assert len(claimed) == 1
    ((gate,),) = [tuple(row.values()) for row in chat.rows("SELECT count(*) FROM usage_gates")]
    assert (gate, len(chat.rows("SELECT 1 FROM usage_reservations"))) == (1, 2)


def test_a_refusal_gives_the_key_back(chat: Chat) -> None:
    chat.per_day = 0
    with pytest.raises(RateLimitExceeded):
        chat.begin(key="k")
    assert chat.rows("SELECT 1 FROM idempotency_keys") == []


@pytest.mark.slow
def test_two_hundred_begins_cannot_overspend_a_budget_for_ten(chat: Chat, app: Flask) -> None:
    chat.concurrency = chat.per_day = 1000
    chat.calls = replace(chat.calls, bulkhead=type(chat.calls.bulkhead)(1000))
    begin = partial(begun_or_none, chat, app)
    calls = [call for begun in hammer(40, lambda: [begin() for _ in range(5)]) for call in begun if call is not None]
    assert len(calls) == BUDGET // PER_CALL
    assert sum(call.granted("tokens") for call in calls) == BUDGET
    for call in calls[:4]:
        assert call.answered()
    for call in calls[4:7]:
        call.failed(ModelFailed("overloaded"))
    for call in calls[7:]:
        call.released()
    assert (chat.tokens(), chat.in_flight()) == (4 * PER_CALL, 0)
    assert sum(begin() is not None for _ in range(20)) == BUDGET // PER_CALL - 4


def begun_or_none(chat: Chat, app: Flask) -> OpenCall | None:
    with app.app_context():
        try:
            return chat.begin()
        except RateLimitExceeded as refusal:
            assert refusal.members["violated-policies"] == ["tokens"]
            return None


def test_what_cannot_be_recorded_is_told_and_is_free_when_its_lease_ends(chat: Chat) -> None:
    gone = call_writer(writer_connection("postgresql://nobody@127.0.0.1:1/nothing", EngineOptions()))
    chat.calls = replace(chat.calls, settlement=Settlement(gone))
    call = chat.begin()
    lost = {'kind="stream"': 1.0}
    with rising(mirroros_usage_not_recorded_total=lost):
        assert not call.answered(seconds=0.1)
    assert (len(chat.rows("SELECT 1 FROM usage_reservations")), chat.calls.bulkhead.taken) == (2, 0)
    lease_is_over(chat)
    sweep_reservations()
    assert (chat.tokens(), chat.outcomes()) == (0, [("abandoned", "abandoned")])
