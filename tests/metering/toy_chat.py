"""A feature of the tests' own that is metered like a chat: each call draws itself and tokens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg2
from psycopg2.extras import RealDictCursor

from auth.principal import Caller, Principal
from auth.tiers import Tier
from database import db
from database.base import utc_now
from database.engine import EngineOptions, writer_connection
from database.redis.server import RedisServer
from metering.breaker import Breaker, HealthSign
from metering.bulkhead import Bulkhead
from metering.idempotency import IdempotencyKeys
from metering.limits import CALL, TOKENS, Burst, Draw
from metering.metered_calls import (
    Allowance,
    Delivered,
    MeteredCalls,
    NotInPlan,
    OpenCall,
    Running,
    Stream,
    Tally,
    Work,
)
from metering.postgres_limits import PostgresLimits
from metering.settle import Settlement, call_writer
from metering.upstream import UpstreamFailed
from metering.usage_limits import UsageLimits
from metering.windows import day_of, month_of
from tests.databases import ask

BUDGET = 1000
PER_CALL = 100


class ModelFailed(UpstreamFailed):
    status, error, title = 502, "model_failed", "The model did not answer"
    health = HealthSign.BAD


class NotForYou(NotInPlan):
    status, error, title = 403, "feature_not_in_tier", "Your plan does not include chat"


def person(tier: Tier = Tier.PRO) -> Principal:
    return Principal(uuid4(), uuid4(), tier, None)


@dataclass
class Chat:
    """A feature that draws a call and tokens of a month."""

    calls: MeteredCalls
    url: str
    alice: Principal = field(default_factory=person)
    per_day: int = 50
    concurrency: int = 3
    failures_per_hour: int = 20
    at_least: int = PER_CALL
    at_most: int = PER_CALL

    def work(self, key: str | None = None, lease_seconds: float = 60) -> Work:
        return Work("chat", "messages", "POST /chat", "0" * 64, key, lease_seconds, self._allowance)

    def _allowance(self, caller: Caller, now: datetime) -> Allowance:
        if caller.tier is Tier.FREE:
            raise NotForYou
        draws = (
            Draw("day", "chat", CALL, day_of(now), self.per_day),
            Draw("tokens", "account", TOKENS, month_of(now), BUDGET, self.at_least, self.at_most),
        )
        return Allowance(draws, Burst(1000, 1), self.concurrency, self.failures_per_hour, shed_from=1.0)

    def ask(self, perform: Callable[[Running, Tally], bytes], key: str | None = None) -> Delivered:
        return self.calls.once(self.alice, self.work(key), perform)

    def stream(
        self, perform: Callable[[Running, Tally], Iterator[bytes]], key: str | None = None, lease_seconds: float = 60
    ) -> Stream:
        stream = self.calls.streamed(self.alice, self.work(key, lease_seconds), perform)
        assert isinstance(stream, Stream)
        return stream

    def begin(self, key: str | None = None, lease_seconds: float = 60) -> OpenCall:
        call = self.calls.begin(self.alice, self.work(key, lease_seconds))
        assert isinstance(call, OpenCall)
        return call

    def rows(self, statement: str) -> list[dict[str, Any]]:
        connection = psycopg2.connect(self.url, cursor_factory=RealDictCursor)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return [dict(row) for row in cursor.fetchall()]
        finally:
            connection.close()

    def tokens(self) -> int:
        """Counted of this month."""
        found = self.rows("SELECT used FROM usage_counters WHERE unit = 'token'")
        return found[0]["used"] if found else 0

    def outcomes(self) -> list[tuple[str, str | None]]:
        return [
            (row["outcome"], row["error_code"])
            for row in self.rows("SELECT * FROM request_logs ORDER BY created_at, id")
        ]

    def in_flight(self) -> int:
        return len(self.rows("SELECT 1 FROM usage_reservations")) + self.calls.bulkhead.taken


def answered(_running: Running, tally: Tally) -> bytes:
    tally.amounts[1] = 40
    tally.provider, tally.model, tally.units = "toy", "toy-1", {"token": 40}
    tally.price_micros, tally.cost_micros = 800, 500
    return b'"hello"'


def fails(_running: Running, _tally: Tally) -> bytes:
    raise ModelFailed("overloaded")


def parts_of(*amounts: int) -> Callable[[Running, Tally], Iterator[bytes]]:
    """A stream that uses so many tokens with each part."""

    def perform(_running: Running, tally: Tally) -> Iterator[bytes]:
        tally.amounts[1] = 0
        for amount in amounts:
            tally.amounts[1] += amount
            yield b"part"

    return perform


@contextmanager
def toy_chat(database_url: str) -> Iterator[Chat]:
    """In the present application."""
    writer = call_writer(writer_connection(database_url, EngineOptions()))
    calls = MeteredCalls(
        limits=UsageLimits(PostgresLimits(db.engine), RedisServer(None)),
        breaker=Breaker(),
        bulkhead=Bulkhead(8),
        settlement=Settlement(writer),
        idempotency=IdempotencyKeys(timedelta(seconds=60)),
        confirm=lambda caller: caller,
        clock=utc_now,
    )
    chat = Chat(calls, database_url)
    name = chat.alice.user_id
    ask(
        database_url,
        "INSERT INTO users (id, email, email_key, created_at, updated_at)"
        f" VALUES ('{name}', '{name}', '{name}', now(), now())",
    )
    yield chat
    writer.close()
