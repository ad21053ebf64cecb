"""Limits on real servers, and a gateway in miniature: reserve, call, settle."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from uuid import UUID, uuid4

from flask_migrate import upgrade
from sqlalchemy import Engine, create_engine, text

from database import db
from database.base import uuid7
from database.engine import EngineOptions, engine_options, libpq_url, sqlalchemy_url
from database.redis_connections import RedisAddress
from database.redis_epoch import EpochTimes, RedisEpoch
from database.redis_lease import RedisLease, WithoutRedis
from gateway.exact_limits import ExactLimits
from gateway.limits import AccountStateChanged, Ask, LimitsUnavailable, Refusal, Reservation, hour_name
from gateway.plan_limits import PlanLimits
from gateway.postgres_limits import PostgresLimits
from tests.bare_app import bare_app

FEATURE = "predict"
QUICK = EpochTimes(heartbeat=0.1, first_probe=0.1, longest_probe=0.3, drain=1.0, wait_at_start=2.0)


def plan(
    per_day: int | None = 5,
    burst: int = 1000,
    burst_seconds: int = 1,
    concurrency: int = 1000,
    failures_per_hour: int | None = None,
) -> PlanLimits:
    return PlanLimits(per_day, burst, burst_seconds, concurrency, 1.0, frozenset(), failures_per_hour)


def ask(user: UUID, limits: PlanLimits, *, request_id: UUID | None = None, lease_seconds: float = 60) -> Ask:
    return Ask(request_id or uuid7(), user, FEATURE, limits, None, lease_seconds)


class Backend:
    """One process's limits and the engine that its settling uses."""

    def __init__(self, database_url: str, redis_url: str | None, times: EpochTimes = QUICK) -> None:
        self.engine: Engine = create_engine(sqlalchemy_url(database_url), **engine_options(EngineOptions()))
        self.leases: RedisEpoch | WithoutRedis = WithoutRedis()
        if redis_url is not None:
            self.leases = RedisEpoch(libpq_url(database_url), RedisAddress(redis_url), times)
        self.limits = ExactLimits(PostgresLimits(self.engine, drain_seconds=times.drain), self.leases)

    def lease(self) -> RedisLease:
        """The lease, as soon as Redis is in use."""
        return eventually(self.leases.current)

    def settle(self, reservation: Reservation) -> int:
        """What the gateway's settling transaction does with the limits' tables; then what it tells the limits."""
        with self.engine.begin() as connection:
            if self.limits.held_in_postgres(reservation):
                connection.execute(
                    text("DELETE FROM usage_reservations WHERE request_id = :id"), {"id": reservation.request_id}
                )
            used: int = connection.execute(
                text(
                    "INSERT INTO usage_counters (user_id, feature, day, used) VALUES (:user, :feature, :day, 1)"
                    " ON CONFLICT (user_id, feature, day) DO UPDATE SET used = usage_counters.used + 1 RETURNING used"
                ),
                {"user": reservation.user_id, "feature": reservation.feature, "day": reservation.day},
            ).scalar_one()
        self.limits.settled(reservation, used)
        return used

    def fail(self, reservation: Reservation) -> None:
        """What the gateway does with a call that reached the private server and brought nothing."""
        with self.engine.begin() as connection:
            failed: int = connection.execute(
                text(
                    "INSERT INTO usage_failures (user_id, feature, hour, failed) VALUES (:user, :feature, :hour, 1)"
                    " ON CONFLICT (user_id, feature, hour) DO UPDATE SET failed = usage_failures.failed + 1 RETURNING failed"
                ),
                {"user": reservation.user_id, "feature": reservation.feature, "hour": hour_name(reservation.hour)},
            ).scalar_one()
        self.limits.failed(reservation, failed)

    def take(self, user: UUID, limits: PlanLimits) -> Reservation:
        """A reservation that must be granted."""
        answer = self.limits.reserve(ask(user, limits))
        assert isinstance(answer, Reservation), answer
        return answer

    def refused(self, user: UUID, limits: PlanLimits) -> Refusal:
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
        if isinstance(self.leases, RedisEpoch):
            self.leases.stop()
        self.engine.dispose()


@contextmanager
def backend(database_url: str, redis_url: str | None, times: EpochTimes = QUICK) -> Iterator[Backend]:
    made = Backend(database_url, redis_url, times)
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


def attempt_until_refused(made: Backend, user: UUID, limits: PlanLimits, call: Callable[[Reservation], None]) -> None:
    """What a stubborn client does: again after every refusal but the day's. Bounded: the test that waits may be gone."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            answer = made.limits.reserve(ask(user, limits))
        except (LimitsUnavailable, AccountStateChanged):
            time.sleep(0.02)
            continue
        if isinstance(answer, Refusal):
            if "day" in answer.violated:
                return
            time.sleep(0.002)
            continue
        call(answer)
        made.settle(answer)
    raise AssertionError("The day's limit never refused")


def hammer(threads: int, work: Callable[[], None]) -> None:
    """Run the same work in many threads, begun together. An exception in any of them fails the test."""
    start = threading.Barrier(threads)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            start.wait()
            work()
        except BaseException as error:
            failures.append(error)

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if failures:
        raise failures[0]


def somebody() -> UUID:
    return uuid4()


def migrated(url: str) -> None:
    """Build the tables in an empty database."""
    app = bare_app(url)
    with app.app_context():
        upgrade()
        db.engine.dispose()
