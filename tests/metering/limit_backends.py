"""Limits on real servers, and a gateway in miniature: reserve, call, settle."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from uuid import UUID, uuid4

import redis
from flask_migrate import upgrade
from sqlalchemy import Engine, create_engine, text

from database import db
from database.base import utc_now, uuid7
from database.engine import EngineOptions, engine_options, sqlalchemy_url, writer_connection
from database.redis.server import RedisAddress, RedisServer
from metering.limits import CALL, FAILURE, Ask, Burst, Draw, LimitsUnavailable, Refusal, Reservation
from metering.postgres_limits import PostgresLimits
from metering.settle import LimitReachedMeanwhile, Outcome, SettledCall, Settlement, Spent, call_writer
from metering.usage_limits import UsageLimits
from metering.windows import day_of, hour_of
from tests.bare_app import bare_app
from tests.metering.known_users import register_who_calls

FEATURE = "predict"


@dataclass(frozen=True)
class Plan:
    per_day: int | None = 5
    burst: Burst = field(default_factory=lambda: Burst(1000, 1))
    concurrency: int = 1000
    failures_per_hour: int | None = None


def plan(
    per_day: int | None = 5,
    burst: int = 1000,
    burst_seconds: int = 1,
    concurrency: int = 1000,
    failures_per_hour: int | None = None,
) -> Plan:
    return Plan(per_day, Burst(burst, burst_seconds), concurrency, failures_per_hour)


def ask(
    user: UUID,
    limits: Plan,
    *,
    request_id: UUID | None = None,
    lease_seconds: float = 60,
    moment: datetime | None = None,
) -> Ask:
    now = moment or utc_now()
    return Ask(
        request_id=request_id or uuid7(),
        user_id=user,
        feature=FEATURE,
        draws=(Draw("day", FEATURE, CALL, day_of(now), limits.per_day),),
        hour=hour_of(now),
        burst=limits.burst,
        concurrency=limits.concurrency,
        failures_per_hour=limits.failures_per_hour,
        cached=None,
        lease_seconds=lease_seconds,
    )


class Backend:
    """One process's limits, and the statement that counts its calls."""

    def __init__(self, database_url: str, redis_url: str | None) -> None:
        self.engine: Engine = create_engine(sqlalchemy_url(database_url), **engine_options(EngineOptions()))
        # On a busy machine Redis may wait longer than the tenth of a second that it has by default.
        self.server = RedisServer(None if redis_url is None else RedisAddress(redis_url, timeout=1.0))
        self.limits = UsageLimits(PostgresLimits(self.engine), self.server)
        self._writer = call_writer(writer_connection(database_url, EngineOptions()))
        self.settlement = Settlement(self._writer)

    def redis(self) -> redis.Redis:
        """As soon as it is in use."""
        return eventually(self.server.client)

    def settle(self, reservation: Reservation, amounts: Sequence[int] | None = None) -> int:
        """Count a call as the gateway does. Raises LimitReachedMeanwhile. `amounts`: what it used of each draw."""
        asked = reservation.ask
        spent = tuple(
            Spent(counter=draw.counter, unit=draw.unit, window=draw.window.name, amount=amount, allowed=draw.allowed)
            for draw, amount in zip(asked.draws, amounts or reservation.amounts, strict=True)
        )
        try:
            used = self.settlement.count(self._ended(reservation, Outcome.DELIVERED, spent))
        except LimitReachedMeanwhile:
            self.limits.settled(reservation, None)
            raise
        self.limits.settled(reservation, used)
        return used

    def fail(self, reservation: Reservation) -> None:
        """What the gateway does with a call that reached its upstream in vain."""
        asked = reservation.ask
        failure = Spent(counter=asked.feature, unit=FAILURE, window=asked.hour.name, amount=1, allowed=None)
        self.limits.failed(
            reservation, self.settlement.note_failure(self._ended(reservation, Outcome.FAILED, (failure,)))
        )

    def _ended(self, reservation: Reservation, outcome: Outcome, spent: tuple[Spent, ...]) -> SettledCall:
        asked = reservation.ask
        return SettledCall(
            request_id=asked.request_id,
            user_id=asked.user_id,
            feature=asked.feature,
            tier="free",
            window_date=utc_now().date(),
            request_data_hash="0" * 64,
            outcome=outcome,
            status=200 if outcome is Outcome.DELIVERED else 502,
            error_code=None if outcome is Outcome.DELIVERED else "status_500",
            response_time_ms=1,
            upstream_ms=1,
            spent=spent,
            held=asked.request_id if reservation.in_postgres else None,
        )

    def take(self, user: UUID, limits: Plan) -> Reservation:
        """A reservation that must be granted."""
        answer = self.limits.reserve(ask(user, limits))
        assert isinstance(answer, Reservation), answer
        return answer

    def refused(self, user: UUID, limits: Plan) -> Refusal:
        """A reservation that must be refused."""
        answer = self.limits.reserve(ask(user, limits))
        assert isinstance(answer, Refusal), answer
        return answer

    def used(self, user: UUID) -> int:
        with self.engine.connect() as connection:
            statement = text("SELECT coalesce(sum(used), 0) FROM usage_counters WHERE user_id = :user")
            return int(connection.execute(statement, {"user": user}).scalar_one())

    def reservations(self) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM usage_reservations")).scalar_one())

    def execute(self, statement: str, **parameters: object) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), parameters)

    def close(self) -> None:
        self._writer.close()
        self.server.close()
        self.engine.dispose()


@contextmanager
def backend(database_url: str, redis_url: str | None) -> Iterator[Backend]:
    made = Backend(database_url, redis_url)
    try:
        yield made
    finally:
        made.close()


Found = TypeVar("Found")


def eventually(question: Callable[[], Found | None], seconds: float = 10, pause: float = 0.01) -> Found:
    """The first answer that is true. Fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := question():
            return answer
        time.sleep(pause)
    raise AssertionError("It did not happen in time")


def attempt_until_refused(made: Backend, user: UUID, limits: Plan, call: Callable[[Reservation], None]) -> int:
    """What a stubborn client does: again after every refusal but the day's. Returns how many calls were delivered.

    Bounded: the test that waits may be gone.
    """
    delivered = 0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            answer = made.limits.reserve(ask(user, limits, lease_seconds=2))
        except LimitsUnavailable:
            time.sleep(0.02)
            continue
        if isinstance(answer, Refusal):
            if "day" in answer.violated:
                return delivered
            time.sleep(0.002)
            continue
        call(answer)
        with suppress(LimitReachedMeanwhile):
            made.settle(answer)
            delivered += 1
    raise AssertionError("The day's limit never refused")


def hammer(threads: int, work: Callable[[], Found]) -> list[Found]:
    """Run the same work in many threads, begun together. An exception in any of them fails the test."""
    start = threading.Barrier(threads)

    def run() -> Found:
        start.wait()
        return work()

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(run) for _ in range(threads)]
        return [each.result() for each in running]


def somebody() -> UUID:
    return uuid4()


def migrated(url: str) -> None:
    """Build the tables in an empty database. Whoever makes a call there has an account."""
    app = bare_app(url)
    with app.app_context():
        upgrade()
        db.engine.dispose()
    register_who_calls(url)
