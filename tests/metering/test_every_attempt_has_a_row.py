"""What reached an upstream leaves a row each time, whatever becomes of PostgreSQL, the process or the idempotency key."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import psycopg2
import pytest
from flask import Flask
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from database.engine import EngineOptions, writer_connection
from metering.metered_calls import OpenCall, Running, Tally
from metering.purge import sweep_reservations
from metering.rate_limit_headers import RateLimitExceeded, TooManyFailures
from metering.settle import Settlement, UsageNotRecorded, call_writer
from security.edge.problems import DependencyUnavailable
from tests.bare_app import bare_app, disconnect
from tests.metering.toy_chat import BUDGET, Chat, ModelFailed, answered, fails, toy_chat

NEVER = 1_000_000


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


@dataclass
class Outage:
    """PostgreSQL cannot be reached by who settles, so many times."""

    url: str
    left: int

    def connect(self) -> Connection:
        if self.left:
            self.left -= 1
            raise psycopg2.OperationalError
        return writer_connection(self.url, EngineOptions())()


@pytest.fixture
def outage(chat: Chat) -> Iterator[Outage]:
    outage = Outage(chat.url, NEVER)
    writer = call_writer(outage.connect)
    chat.calls = replace(chat.calls, settlement=Settlement(writer, seconds=0))
    yield outage
    writer.close()


def leases_end(chat: Chat) -> None:
    """Of calls and keys, long ago."""
    for changed in (
        "usage_reservations SET created_at = now() - interval '2 hours', lease_until = now() - interval '1 hour'",
        "idempotency_keys SET lease_until = now() - interval '1 hour' WHERE answer IS NULL",
    ):
        chat.rows(f"UPDATE {changed} RETURNING 1")


def swept(chat: Chat) -> list[tuple[str, str | None]]:
    """How the calls ended, when the leases are over."""
    leases_end(chat)
    sweep_reservations()
    return chat.outcomes()


def test_what_could_not_be_counted_is_a_failure_when_postgresql_is_back(chat: Chat, outage: Outage) -> None:
    outage.left = 1
    with pytest.raises(UsageNotRecorded):
        chat.ask(answered, key="k")
    assert chat.outcomes() == [("failed", "usage_not_recorded")]
    assert chat.rows("SELECT status, price_micros, cost_micros, provider FROM request_logs") == [
        {"status": 503, "price_micros": 0, "cost_micros": 500, "provider": "toy"}
    ]
    assert (chat.in_flight(), chat.tokens(), chat.rows("SELECT 1 FROM idempotency_keys")) == (0, 0, [])


def test_what_could_not_be_counted_is_abandoned_while_postgresql_is_gone(chat: Chat, outage: Outage) -> None:
    with pytest.raises(UsageNotRecorded):
        chat.ask(answered)
    assert (swept(chat), chat.in_flight(), chat.tokens()) == ([("abandoned", "abandoned")], 0, 0)


def test_a_failure_that_could_not_be_noted_is_abandoned(chat: Chat, outage: Outage) -> None:
    with pytest.raises(ModelFailed):
        chat.ask(fails)
    assert (swept(chat), chat.in_flight()) == ([("abandoned", "abandoned")], 0)


def test_failures_that_could_not_be_noted_count_in_the_process(chat: Chat, outage: Outage) -> None:
    chat.failures_per_hour = 2
    for _ in range(2):
        with pytest.raises(ModelFailed):
            chat.ask(fails)
        leases_end(chat)
    with pytest.raises(TooManyFailures):
        chat.ask(answered)


def test_what_broke_inside_is_a_failure(chat: Chat) -> None:
    def breaks(_running: Running, _tally: Tally) -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        chat.ask(breaks)
    assert (chat.outcomes(), chat.in_flight()) == ([("failed", "internal_error")], 0)
    chat.begin().failed(DependencyUnavailable())
    assert chat.outcomes() == [("failed", "internal_error"), ("failed", "service_unavailable")]
    assert chat.rows("SELECT used FROM usage_counters WHERE unit = 'failure'") == [{"used": 2}]


@pytest.mark.parametrize(("model", "outcome"), [("\ud800", ("failed", "internal_error")), ("\0", ("abandoned",) * 2)])
def test_what_cannot_be_written_leaves_a_row_all_the_same(chat: Chat, model: str, outcome: tuple[str, str]) -> None:
    def odd(_running: Running, tally: Tally) -> bytes:
        tally.model = model
        return b"{}"

    with pytest.raises((TypeError, psycopg2.DataError)):
        chat.ask(odd)
    assert (swept(chat), chat.in_flight()) == ([outcome], 0)


def test_what_others_outran_is_abandoned_when_that_cannot_be_noted(chat: Chat) -> None:
    def outrun(running: Running, tally: Tally) -> bytes:
        chat.rows("ALTER TABLE request_logs ADD CHECK (outcome <> 'failed'); SELECT 1")
        other = chat.begin()
        other.tally.amounts[1] = BUDGET
        other.answered()
        return answered(running, tally)

    with pytest.raises(RateLimitExceeded):
        chat.ask(outrun)
    assert sorted(swept(chat), key=str) == [("abandoned", "abandoned"), ("delivered", None)]
    assert (chat.in_flight(), chat.tokens()) == (0, BUDGET)


class TestTakenOver:
    """An idempotency key whose first holder died. All who had it are one call to the user, and each asked the upstream."""

    def died(self, chat: Chat) -> OpenCall:
        call = chat.begin(key="k")
        leases_end(chat)
        return call

    @pytest.mark.parametrize("sweep_first", [True, False])
    def test_the_next_one_has_a_row_beside_the_first(self, chat: Chat, sweep_first: bool) -> None:
        first = self.died(chat)
        if sweep_first:
            sweep_reservations()
        second = chat.begin(key="k")
        assert second.running.request_id == first.running.request_id
        assert second.answered()
        assert sorted(swept(chat), key=str) == [("abandoned", "abandoned"), ("delivered", None)]
        assert chat.rows("SELECT id FROM request_logs WHERE success") == [{"id": str(first.running.request_id)}]

    def test_the_first_keeps_its_name_when_the_next_is_refused(self, chat: Chat) -> None:
        first = self.died(chat)
        sweep_reservations()
        chat.per_day = 0
        with pytest.raises(RateLimitExceeded):
            chat.begin(key="k")
        assert chat.rows("SELECT id FROM request_logs WHERE outcome = 'abandoned'") == [
            {"id": str(first.running.request_id)}
        ]

    def test_a_first_one_that_wakes_up_is_counted_once(self, chat: Chat) -> None:
        first = self.died(chat)
        second = chat.begin(key="k")
        for call in (first, second):
            call.tally.amounts[1] = 40
            assert call.answered()
        assert chat.tokens() == 40
        assert sorted(swept(chat), key=str) == [("abandoned", "abandoned"), ("delivered", None)]

    def test_each_that_fails_leaves_a_row(self, chat: Chat) -> None:
        self.died(chat)
        for _ in range(2):
            chat.begin(key="k").failed(ModelFailed("overloaded"))
        assert chat.begin(key="k").answered()
        ended = [("abandoned", "abandoned"), ("delivered", None), ("failed", "overloaded"), ("failed", "overloaded")]
        assert sorted(swept(chat), key=str) == ended
