"""Money that calls draw: priced when they are reserved, charged once, refused with 402, and exact under any number of them."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from flask import Flask
from psycopg2.extras import RealDictCursor

from auth.principal import Caller, Principal
from auth.tiers import Tier
from database import db
from database.base import utc_now, uuid7
from database.engine import EngineOptions, writer_connection
from database.redis.server import RedisAddress, RedisServer
from metering.breaker import Breaker, HealthSign
from metering.bulkhead import Bulkhead
from metering.idempotency import IdempotencyKeys, RequestStillRunning
from metering.limits import CALL, Burst, Draw
from metering.metered_calls import Allowance, Delivered, MeteredCalls, OpenCall, Running, Tally, Work
from metering.money import MICROS_PER_CENT, MoneyRefused, Purse
from metering.postgres_limits import PostgresLimits
from metering.purge import sweep_reservations
from metering.rate_limit_headers import RateLimitExceeded
from metering.settle import Outcome, Settlement, call_writer
from metering.upstream import UpstreamFailed
from metering.usage.budget import BudgetReached, budget_draw, read_budget, set_budget
from metering.usage_limits import UsageLimits
from metering.windows import day_of
from tests.bare_app import bare_app, disconnect
from tests.metering.limit_backends import eventually, hammer, somebody

PRICE_CENTS = 100
PRICE = PRICE_CENTS * MICROS_PER_CENT
AFFORDED, THREADS = 7, 64


class TimedOut(UpstreamFailed):
    status, error, title = 504, "model_timed_out", "The model took too long"
    health = HealthSign.BAD
    outcome = Outcome.UNKNOWN


class Overdue(MoneyRefused):
    error, title = "billing_overdue", "A statement is overdue"


class OwnBudget:
    """Holds a user to their budget and to nothing else."""

    def draws(self, user_id: UUID, price_micros: int, now: datetime) -> tuple[Draw, ...]:
        cents = read_budget(user_id, now).monthly_cents
        return (budget_draw(cents, price_micros, now),) if price_micros else ()


@dataclass
class Photos:
    """A feature whose calls have a price."""

    app: Flask
    calls: MeteredCalls
    url: str
    alice: Principal = field(default_factory=lambda: Principal(somebody(), uuid7(), Tier.PRO, None, fresh=True))
    price: int = PRICE
    purse: Purse = field(default_factory=OwnBudget)
    per_day: int | None = 1000
    concurrency: int = 1000
    lease_seconds: float = 60

    def work(self, key: str | None = None) -> Work:
        return Work("photo", "photos", "POST /photo", "0" * 64, key, self.lease_seconds, self._allowance)

    def _allowance(self, caller: Caller, now: datetime) -> Allowance:
        draws = (
            Draw("day", "photo", CALL, day_of(now), self.per_day),
            *self.purse.draws(caller.user_id, self.price, now),
        )
        return Allowance(draws, Burst(1000, 1), self.concurrency, 20, shed_from=1.0, price_micros=self.price)

    def ask(self, perform: Callable[[Running, Tally], bytes], key: str | None = None) -> Delivered:
        answer = self.calls.once(self.alice, self.work(key), perform)
        assert isinstance(answer, Delivered)
        return answer

    def set_budget(self, cents: int | None) -> None:
        set_budget(self.alice.user_id, cents, utc_now())

    def rows(self, statement: str) -> list[dict[str, Any]]:
        connection = psycopg2.connect(self.url, cursor_factory=RealDictCursor)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return [dict(row) for row in cursor.fetchall()]
        finally:
            connection.close()

    def spent(self) -> int:
        """Counted of the month."""
        found = self.rows("SELECT used FROM usage_counters WHERE unit = 'micros'")
        return found[0]["used"] if found else 0

    def charged(self) -> list[int]:
        return [row["price_micros"] for row in self.rows("SELECT price_micros FROM charges")]

    def log(self) -> list[tuple[Any, ...]]:
        columns = "outcome, status, error_code, price_micros, cost_micros"
        return [tuple(row.values()) for row in self.rows(f"SELECT {columns} FROM request_logs ORDER BY created_at, id")]


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    app = bare_app(database_url)
    with app.app_context():
        yield app
    disconnect(app)


@pytest.fixture
def redis() -> RedisServer:
    return RedisServer(None)


@pytest.fixture
def photos(app: Flask, database_url: str, redis: RedisServer) -> Iterator[Photos]:
    writer = call_writer(writer_connection(database_url, EngineOptions()))
    calls = MeteredCalls(
        limits=UsageLimits(PostgresLimits(db.engine), redis),
        breaker=Breaker(),
        bulkhead=Bulkhead(THREADS),
        settlement=Settlement(writer),
        idempotency=IdempotencyKeys(timedelta(seconds=60)),
        confirm=lambda caller: caller,
        clock=utc_now,
    )
    made = Photos(app, calls, database_url)
    name = made.alice.user_id
    made.rows(
        "INSERT INTO users (id, email, email_key, created_at, updated_at)"
        f" VALUES ('{name}', '{name}', '{name}', now(), now()) RETURNING 1"
    )
    yield made
    writer.close()


def answered(_running: Running, tally: Tally) -> bytes:
    tally.provider, tally.cost_micros = "toy", 300
    tally.details["image_bytes"] = 10
    return b'"a photo"'


def test_a_call_costs_what_it_was_reserved_at(photos: Photos) -> None:
    def raised_meanwhile(running: Running, tally: Tally) -> bytes:
        photos.price = 5 * PRICE
        assert (running.price_micros, tally.price_micros) == (PRICE, PRICE)
        return answered(running, tally)

    delivered = photos.ask(raised_meanwhile)
    (charge,) = photos.rows("SELECT feature, price_micros, cost_micros, window_date FROM charges")
    today = utc_now().date()
    assert charge == {"feature": "photo", "price_micros": PRICE, "cost_micros": 300, "window_date": today}
    assert photos.spent() == PRICE
    assert photos.rows("SELECT details, units FROM request_logs") == [{"details": {"image_bytes": 10}, "units": None}]
    assert "budget" not in delivered.headers["RateLimit"] + delivered.headers["X-RateLimit-Policy"]


def test_what_is_counted_of_money_is_what_is_charged(photos: Photos) -> None:
    photos.set_budget(PRICE_CENTS)

    def cheaper(_running: Running, tally: Tally) -> bytes:
        tally.price_micros = PRICE // 4
        return b"{}"

    photos.ask(cheaper)
    assert (photos.spent(), photos.charged()) == (PRICE // 4, [PRICE // 4])


def test_a_budget_refuses_with_402_and_says_when_it_resets(photos: Photos) -> None:
    photos.set_budget(PRICE_CENTS + 99)
    photos.ask(answered)
    with pytest.raises(BudgetReached) as refusal:
        photos.ask(answered)
    problem = refusal.value
    assert (problem.status, problem.error, problem.members["monthly_cents"]) == (402, "budget_reached", 199)
    next_month = (utc_now().replace(day=1) + timedelta(days=31)).replace(day=1)
    assert problem.members["resets_at"] == f"{next_month:%Y-%m-%d}T00:00:00Z"
    assert photos.log() == [("delivered", 200, None, PRICE, 300), ("refused", 402, "limit_budget", 0, 0)]
    photos.set_budget(2 * PRICE_CENTS)
    photos.ask(answered)
    photos.set_budget(50)  # below what is used
    with pytest.raises(BudgetReached):
        photos.ask(answered)
    photos.set_budget(None)
    photos.ask(answered)
    assert (photos.spent(), photos.charged()) == (3 * PRICE, [PRICE] * 3)


def test_a_budget_that_is_set_later_knows_what_was_charged_before(photos: Photos) -> None:
    photos.ask(answered)
    photos.set_budget(PRICE_CENTS)
    with pytest.raises(BudgetReached):
        photos.ask(answered)


def test_who_lacks_money_and_requests_is_told_of_the_money(photos: Photos) -> None:
    photos.set_budget(PRICE_CENTS)
    photos.per_day = 1
    photos.ask(answered)
    with pytest.raises(BudgetReached):
        photos.ask(answered)


def test_a_replay_is_given_although_the_budget_is_reached(photos: Photos) -> None:
    photos.set_budget(PRICE_CENTS)
    first, again = photos.ask(answered, key="k"), photos.ask(answered, key="k")
    assert (again.body, again.headers) == (first.body, {"Idempotency-Replayed": "true"})
    assert photos.charged() == [PRICE]


def test_a_refusal_of_the_purse_leaves_one_row_a_minute_and_gives_replays(photos: Photos) -> None:
    class Empty:
        def draws(self, user_id: UUID, price_micros: int, now: datetime) -> tuple[Draw, ...]:
            raise Overdue

    photos.ask(answered, key="k")
    photos.purse = Empty()
    for _ in range(3):
        with pytest.raises(Overdue):
            photos.ask(answered)
    refused = [row for row in photos.log() if row[0] == "refused"]
    assert 1 <= len(refused) <= 2  # the minute may end meanwhile
    assert refused[0] == ("refused", 402, "billing_overdue", 0, 0)
    assert photos.ask(answered, key="k").headers == {"Idempotency-Replayed": "true"}


def test_what_costs_nothing_draws_no_money(photos: Photos) -> None:
    photos.set_budget(0)
    photos.price = 0
    photos.ask(answered)
    assert (photos.spent(), photos.charged()) == (0, [])


def test_a_call_whose_end_is_unknown_is_free_and_its_cost_to_us_is_noted(photos: Photos) -> None:
    def times_out(_running: Running, tally: Tally) -> bytes:
        tally.cost_micros = 300
        raise TimedOut("timeout")

    photos.set_budget(PRICE_CENTS)
    with pytest.raises(TimedOut):
        photos.ask(times_out)
    assert photos.log() == [("unknown", 504, "timeout", 0, 300)]
    assert (photos.spent(), photos.charged()) == (0, [])
    photos.ask(answered)  # what it held came back


def attempts(photos: Photos, perform: Callable[[Running, Tally], bytes]) -> int:
    """Calls of one client until the money or the day is used up: how many were delivered."""
    delivered = 0
    while True:
        try:
            with photos.app.app_context():
                photos.ask(perform)
            delivered += 1
        except BudgetReached:
            return delivered
        except RateLimitExceeded as refusal:
            assert refusal.members["violated-policies"] == ["concurrency"]


@pytest.mark.parametrize("redis_is", ["there", "away"])
def test_many_at_once_spend_exactly_the_budget(photos: Photos, request: pytest.FixtureRequest, redis_is: str) -> None:
    if redis_is == "there":
        server = RedisServer(RedisAddress(request.getfixturevalue("redis_url"), timeout=1.0))
        eventually(server.client)
        limits = UsageLimits(PostgresLimits(db.engine), server)
        photos.calls = MeteredCalls(**{**vars(photos.calls), "limits": limits})
    photos.set_budget(AFFORDED * PRICE_CENTS)
    photos.per_day, photos.concurrency = 10, 4
    seen = []

    def counts(running: Running, tally: Tally) -> bytes:
        seen.append(running.request_id)
        return answered(running, tally)

    assert sum(hammer(THREADS, lambda: attempts(photos, counts))) == len(seen) == AFFORDED
    assert (photos.spent(), photos.charged()) == (AFFORDED * PRICE, [PRICE] * AFFORDED)
    (counted,) = photos.rows("SELECT used FROM usage_counters WHERE unit = 'call'")
    assert counted == {"used": AFFORDED}
    assert [row[0] for row in photos.log()].count("delivered") == AFFORDED
    assert photos.rows("SELECT 1 FROM usage_reservations") == []


def test_fifty_requests_with_one_key_are_one_call(photos: Photos) -> None:
    photos.set_budget(2 * PRICE_CENTS)
    photos.concurrency = 1
    seen = []

    def counts(running: Running, tally: Tally) -> bytes:
        seen.append(running.request_id)
        return answered(running, tally)

    def until_answered() -> bytes:
        while True:
            try:
                with photos.app.app_context():
                    return photos.ask(counts, key="k").body
            except RequestStillRunning:
                pass
            except RateLimitExceeded as refusal:  # the first one had not claimed the key yet
                assert refusal.members["violated-policies"] == ["concurrency"]
            threading.Event().wait(0.01)

    assert hammer(50, until_answered) == [b'"a photo"'] * 50
    assert (len(seen), photos.charged(), photos.spent()) == (1, [PRICE], PRICE)


def test_a_call_whose_lease_ended_spends_nothing_that_another_one_spent(photos: Photos) -> None:
    photos.set_budget(PRICE_CENTS)
    photos.lease_seconds = 0.2

    def outrun(running: Running, tally: Tally) -> bytes:
        eventually(lambda: not photos.rows("SELECT 1 FROM usage_reservations WHERE lease_until > clock_timestamp()"))
        assert photos.ask(answered).body
        return answered(running, tally)

    with pytest.raises(BudgetReached):
        photos.ask(outrun)
    assert (photos.spent(), photos.charged()) == (PRICE, [PRICE])
    assert sorted(photos.log()) == [
        ("delivered", 200, None, PRICE, 300),
        ("failed", 402, "budget_reached", 0, 300),
    ]


def test_a_budget_that_is_lowered_meanwhile_lets_no_further_call_begin(photos: Photos) -> None:
    photos.set_budget(2 * PRICE_CENTS)

    def lowered(running: Running, tally: Tally) -> bytes:
        photos.set_budget(PRICE_CENTS)
        with pytest.raises(BudgetReached):
            photos.ask(answered)
        return answered(running, tally)

    photos.ask(lowered)
    with pytest.raises(BudgetReached):
        photos.ask(answered)
    assert (photos.spent(), photos.charged()) == (PRICE, [PRICE])


def test_calls_that_settle_together_spend_no_more_than_the_budget(photos: Photos) -> None:
    """The leases of four have ended, and four more were reserved since."""
    photos.lease_seconds = 0.2
    ready, go = threading.Barrier(9), threading.Event()

    def waits(running: Running, tally: Tally) -> bytes:
        ready.wait(20)
        go.wait(20)
        return answered(running, tally)

    def one() -> bool:
        try:
            with photos.app.app_context():
                photos.ask(waits)
        except BudgetReached:
            return False
        return True

    outcomes: list[bool] = []
    threads = [threading.Thread(target=lambda: outcomes.append(one())) for _ in range(8)]
    photos.set_budget(4 * PRICE_CENTS)
    for thread in threads[:4]:
        thread.start()
    over = "SELECT count(*) AS n FROM usage_reservations WHERE unit = 'micros' AND lease_until <= clock_timestamp()"
    eventually(lambda: photos.rows(over)[0]["n"] == 4)
    for thread in threads[4:]:
        thread.start()
    ready.wait(20)
    go.set()
    for thread in threads:
        thread.join()
    assert outcomes.count(True) == 4
    assert (photos.spent(), photos.charged()) == (4 * PRICE, [PRICE] * 4)


class TestSweep:
    def ended_long_ago(self, photos: Photos) -> None:
        """What a killed worker leaves, an hour later."""
        photos.rows(
            "UPDATE usage_reservations SET lease_until = now() - interval '1 hour',"
            " created_at = now() - interval '1 hour' - interval '1500 ms' RETURNING 1"
        )

    def test_a_call_that_nobody_settled_is_abandoned_and_free(self, photos: Photos) -> None:
        call = photos.calls.begin(photos.alice, photos.work())
        assert isinstance(call, OpenCall)
        self.ended_long_ago(photos)
        assert sweep_reservations() == 2  # the call and its money
        (row,) = photos.rows("SELECT * FROM request_logs")
        assert row["id"] == str(call.running.request_id)
        assert (row["outcome"], row["error_code"], row["success"]) == ("abandoned", "abandoned", False)
        assert (row["response_time_ms"], row["price_micros"], row["feature"]) == (1500, 0, "photo")
        assert (row["request_data_hash"], row["tier"], row["status"]) == (None, None, None)
        assert photos.rows("SELECT 1 FROM usage_reservations") == []
        assert sweep_reservations() == 0
        assert (photos.spent(), photos.charged()) == (0, [])

    def test_what_settles_all_the_same_replaces_it(self, photos: Photos) -> None:
        def slow(running: Running, tally: Tally) -> bytes:
            self.ended_long_ago(photos)
            sweep_reservations()
            return answered(running, tally)

        def slow_and_late(running: Running, tally: Tally) -> bytes:
            slow(running, tally)
            raise TimedOut("timeout")

        photos.ask(slow)
        assert photos.log() == [("delivered", 200, None, PRICE, 300)]
        (row,) = photos.rows("SELECT tier, request_data_hash FROM request_logs")
        assert row == {"tier": "pro", "request_data_hash": "0" * 64}
        with pytest.raises(TimedOut):
            photos.ask(slow_and_late)
        assert sorted(photos.log())[1] == ("unknown", 504, "timeout", 0, 300)
        assert (photos.spent(), photos.charged()) == (PRICE, [PRICE])
