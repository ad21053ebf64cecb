"""The order of metered calls with an upstream of this test's own: what is counted, given back and told, whole and in parts."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from flask import Flask

from auth.principal import CachedFields, Caller
from auth.tiers import Tier
from database.base import utc_now
from metering.breaker import Breaker, BreakerIsOpen, BreakerRules, HealthSign
from metering.bulkhead import Bulkhead, TooManyInFlight
from metering.idempotency import AnswerNotKept
from metering.metered_calls import Delivered, Running, Tally
from metering.rate_limit_headers import RateLimitExceeded, TooManyFailures
from metering.windows import month_of
from security.edge.problems import InvalidToken
from tests.bare_app import bare_app, disconnect
from tests.metering.toy_chat import BUDGET, Chat, ModelFailed, NotForYou, answered, fails, parts_of, person, toy_chat
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


def test_a_call_is_counted_with_what_it_used_and_charged(chat: Chat) -> None:
    delivered = chat.ask(answered)
    assert delivered.body == b'"hello"'
    assert 'tokens";r=900' in delivered.headers["RateLimit"]
    assert (chat.tokens(), chat.in_flight()) == (40, 0)
    (charge,) = chat.rows("SELECT user_id, feature, units, price_micros, cost_micros FROM charges")
    assert charge == {
        "user_id": str(chat.alice.user_id),
        "feature": "chat",
        "units": {"token": 40},
        "price_micros": 800,
        "cost_micros": 500,
    }


def test_a_failure_costs_nothing_and_counts_in_the_hours_failures(chat: Chat) -> None:
    for _ in range(20):
        with pytest.raises(ModelFailed):
            chat.ask(fails)
    assert (chat.tokens(), chat.in_flight(), set(chat.outcomes())) == (0, 0, {("failed", "overloaded")})
    with pytest.raises(TooManyFailures):
        chat.ask(answered)


def test_whatever_breaks_inside_gives_everything_back(chat: Chat) -> None:
    def breaks(_running: Running, _tally: Tally) -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        chat.ask(breaks, key="k")
    assert (chat.in_flight(), chat.rows("SELECT 1 FROM idempotency_keys")) == (0, [])


def test_a_plan_without_the_feature_is_refused_before_anything_is_taken(chat: Chat) -> None:
    chat.alice = person(Tier.FREE)
    with pytest.raises(NotForYou):
        chat.ask(answered)
    assert (chat.outcomes(), chat.in_flight()) == ([], 0)


def test_a_call_that_others_outran_is_not_delivered_and_its_row_says_so(chat: Chat) -> None:
    def outrun(running: Running, tally: Tally) -> bytes:
        chat.rows(
            'INSERT INTO usage_counters (user_id, feature, unit, "window", used)'
            f" VALUES ('{running.caller.user_id}', 'account', 'token', '{month_of(utc_now()).name}', {BUDGET}) RETURNING 1"
        )
        return answered(running, tally)

    outran = {'feature="chat"': 1.0}
    with rising(mirroros_refused_at_settling_total=outran), pytest.raises(RateLimitExceeded) as refusal:
        chat.ask(outrun)
    assert refusal.value.members["violated-policies"] == ["tokens"]
    assert (chat.tokens(), chat.in_flight()) == (BUDGET, 0)
    assert chat.outcomes() == [("failed", "rate_limit_exceeded")]


def test_the_same_key_gives_the_same_answer_and_costs_once(chat: Chat) -> None:
    first, again = chat.ask(answered, key="k"), chat.ask(fails, key="k")
    assert (first.body, again.body) == (b'"hello"', b'"hello"')
    assert again.headers == {"Idempotency-Replayed": "true"}
    assert chat.tokens() == 40


def test_a_stream_is_counted_when_it_was_read(chat: Chat) -> None:
    stream = chat.stream(parts_of(10, 20, 30))
    assert chat.tokens() == 0
    assert list(stream) == [b"part"] * 3
    stream.close()
    assert (chat.tokens(), chat.in_flight(), chat.outcomes()) == (60, 0, [("delivered", None)])


def test_a_stream_whose_reader_left_is_counted_as_far_as_it_came(chat: Chat) -> None:
    stream = chat.stream(parts_of(10, 20, 30))
    next(stream)
    next(stream)
    stream.close()
    stream.close()
    assert (chat.tokens(), chat.in_flight(), chat.outcomes()) == (30, 0, [("cut_short", None)])


def test_a_stream_that_nobody_read_is_counted_once_when_it_is_closed(chat: Chat) -> None:
    chat.stream(parts_of(10, 20)).close()
    assert (chat.tokens(), chat.in_flight()) == (10, 0)


def test_a_stream_that_breaks_is_counted_as_far_as_it_came(chat: Chat) -> None:
    def breaks(_running: Running, tally: Tally) -> Iterator[bytes]:
        tally.amounts[1] = 70
        yield b"part"
        raise ConnectionResetError

    stream = chat.stream(breaks)
    next(stream)
    with pytest.raises(ConnectionResetError):
        next(stream)
    stream.close()
    assert (chat.tokens(), chat.in_flight(), chat.outcomes()) == (70, 0, [("cut_short", None)])


def test_a_stream_that_fails_before_its_first_part_is_an_ordinary_failure(chat: Chat) -> None:
    def fails_at_once(_running: Running, _tally: Tally) -> Iterator[bytes]:
        raise ModelFailed("overloaded")
        yield b""

    with pytest.raises(ModelFailed):
        chat.stream(fails_at_once)
    assert (chat.tokens(), chat.in_flight(), chat.outcomes()) == (0, 0, [("failed", "overloaded")])


def test_a_stream_that_cannot_be_begun_is_an_ordinary_failure(chat: Chat) -> None:
    def begins_nothing(_running: Running, _tally: Tally) -> Iterator[bytes]:
        raise ModelFailed("overloaded")

    with pytest.raises(ModelFailed):
        chat.stream(begins_nothing)
    assert (chat.tokens(), chat.in_flight(), chat.outcomes()) == (0, 0, [("failed", "overloaded")])


def test_a_stream_beyond_its_budget_is_counted_for_it_was_read(chat: Chat) -> None:
    list(chat.stream(parts_of(2 * BUDGET)))
    assert chat.tokens() == 2 * BUDGET
    with pytest.raises(RateLimitExceeded):
        chat.ask(answered)


def test_a_long_stream_keeps_what_it_reserved(chat: Chat) -> None:
    stream = chat.stream(parts_of(*[1] * 50), lease_seconds=0.6)
    pause = threading.Event()
    for _ in range(10):
        next(stream)
        pause.wait(0.1)
    assert chat.rows("SELECT count(*) FROM usage_reservations WHERE lease_until > now()") == [{"count": 2}]
    stream.close()


def test_streams_that_end_at_the_same_time_are_counted_once_each(chat: Chat) -> None:
    streams = [chat.stream(parts_of(7, 7)) for _ in range(3)]
    threads = [threading.Thread(target=stream.close) for stream in streams for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (chat.tokens(), chat.in_flight()) == (21, 0)


def test_a_user_has_no_more_streams_at_once_than_the_plan_allows(chat: Chat) -> None:
    streams = [chat.stream(parts_of(1)) for _ in range(3)]
    with pytest.raises(RateLimitExceeded) as refusal:
        chat.stream(parts_of(1))
    assert refusal.value.members["violated-policies"] == ["concurrency"]
    for stream in streams:
        stream.close()
    list(chat.stream(parts_of(1)))


def test_a_stream_keeps_what_its_key_stands_for(chat: Chat) -> None:
    def remembered(_running: Running, tally: Tally) -> Iterator[bytes]:
        tally.amounts[1] = 5
        yield b"part"
        tally.answer = '"see message 1"'

    list(chat.stream(remembered, key="k"))
    again = chat.calls.streamed(chat.alice, chat.work("k"), remembered)
    assert isinstance(again, Delivered)
    assert (again.body, chat.tokens()) == (b'"see message 1"', 5)


def test_a_stream_that_kept_nothing_still_answers_for_its_key(chat: Chat) -> None:
    list(chat.stream(parts_of(50), key="k"))
    with pytest.raises(AnswerNotKept):
        chat.stream(parts_of(50), key="k")
    assert chat.tokens() == 50


def test_part_of_a_stream_is_not_kept_as_the_answer(chat: Chat) -> None:
    def grows(_running: Running, tally: Tally) -> Iterator[bytes]:
        for part in ("one", "two"):
            tally.answer = (tally.answer or "") + part
            yield part.encode()

    stream = chat.stream(grows, key="k")
    next(stream)
    stream.close()
    with pytest.raises(AnswerNotKept):
        chat.stream(grows, key="k")


def test_a_stream_whose_lease_is_over_ends(chat: Chat) -> None:
    stream = chat.stream(parts_of(1, 1, 1, 1), lease_seconds=0.3)
    next(stream)
    threading.Event().wait(0.4)
    assert list(stream) == []
    assert chat.outcomes() == [("cut_short", None)]


def test_what_has_no_provider_is_charged_too(chat: Chat) -> None:
    def minute(_running: Running, tally: Tally) -> bytes:
        tally.units, tally.price_micros = {"second": 60}, 900
        return b"{}"

    chat.ask(minute)
    assert chat.rows("SELECT units, price_micros FROM charges") == [{"units": {"second": 60}, "price_micros": 900}]


def test_a_caller_whose_state_was_copied_to_redis_may_draw_amounts(chat: Chat) -> None:
    chat.alice = replace(chat.alice, cached=CachedFields("state", ("u",), ("1",)), fresh=True)
    assert chat.ask(answered).body == b'"hello"'


def test_a_remembered_caller_is_asked_for_anew_before_it_draws_amounts(chat: Chat) -> None:
    def revoked(_: Caller) -> Caller:
        raise InvalidToken

    chat.calls = replace(chat.calls, confirm=revoked)
    with pytest.raises(InvalidToken):
        chat.ask(answered)
    chat.alice = replace(chat.alice, fresh=True)
    assert chat.ask(answered).body == b'"hello"'


def test_a_row_that_cannot_be_written_fails_alone_and_holds_nothing(chat: Chat) -> None:
    def odd(_running: Running, tally: Tally) -> bytes:
        tally.provider, tally.model = "toy", "\ud800"
        return b"{}"

    with pytest.raises(TypeError):
        chat.ask(odd, key="k")
    assert (chat.in_flight(), chat.rows("SELECT 1 FROM idempotency_keys")) == (0, [])


def test_no_call_lowers_a_counter(chat: Chat) -> None:
    def owed(_running: Running, tally: Tally) -> bytes:
        tally.amounts[1] = -40
        return b"{}"

    chat.ask(answered)
    with pytest.raises(ValueError, match="less than nothing"):
        chat.ask(owed)
    assert (chat.tokens(), chat.in_flight()) == (40, 0)


def test_a_failure_keeps_what_it_cost_and_charges_nothing(chat: Chat) -> None:
    def costly(_running: Running, tally: Tally) -> bytes:
        tally.provider, tally.model, tally.price_micros, tally.cost_micros = "toy", "toy-1", 500, 77
        raise ModelFailed("overloaded")

    with pytest.raises(ModelFailed):
        chat.ask(costly)
    (row,) = chat.rows("SELECT provider, model, price_micros, cost_micros FROM request_logs")
    assert row == {"provider": "toy", "model": "toy-1", "price_micros": 0, "cost_micros": 77}
    assert chat.rows("SELECT 1 FROM charges") == []


def test_what_becomes_of_calls_is_measured_by_feature(chat: Chat) -> None:
    endings = {'feature="chat",outcome="delivered"': 1, 'feature="chat",outcome="failed"': 1}
    admitted = {'feature="chat",decision="admitted",policy=""': 2}
    with rising(
        mirroros_upstream_duration_seconds_count=endings,
        mirroros_gateway_overhead_seconds_count={'feature="chat"': 1},
        mirroros_limit_decisions_total=admitted,
        mirroros_upstream_failures_total={'feature="chat",reason="overloaded"': 1},
    ):
        chat.ask(answered)
        with pytest.raises(ModelFailed):
            chat.ask(fails)
    with rising(mirroros_upstream_duration_seconds_count={'feature="chat",outcome="cut_short"': 1}):
        stream = chat.stream(lambda _running, _tally: iter([b"one", b"two"]))
        next(stream)
        stream.close()


def test_who_is_turned_away_is_counted_with_the_reason(chat: Chat) -> None:
    calls = replace(chat.calls, breaker=Breaker(BreakerRules(connect_failures=1)), bulkhead=Bulkhead(1, longest_wait=0))
    calls.bulkhead.enter(1.0)
    busy, failing = ({f'feature="chat",reason="{reason}"': 1.0} for reason in ("too_many_in_flight", "breaker_open"))
    with rising(mirroros_calls_turned_away_total=busy), pytest.raises(TooManyInFlight):
        calls.once(chat.alice, chat.work(), answered)
    calls.breaker.judge(calls.breaker.admit(uuid4()), HealthSign.UNREACHABLE)
    with rising(mirroros_calls_turned_away_total=failing), pytest.raises(BreakerIsOpen):
        calls.once(chat.alice, chat.work(), answered)
