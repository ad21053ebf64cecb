"""The parts of this package, put together for one application."""

from collections.abc import Callable
from datetime import timedelta

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from auth.principal import Caller
from database.base import Clock, utc_now
from database.jobs.declare import Job
from database.redis.server import RedisServer
from metering.breaker import Breaker, BreakerState
from metering.bulkhead import Bulkhead
from metering.idempotency import IdempotencyKeys
from metering.metered_calls import MeteredCalls
from metering.metrics import BREAKER_OPEN, IN_FLIGHT, IN_FLIGHT_LIMIT
from metering.postgres_limits import PostgresLimits
from metering.purge import purge_idempotency_keys, purge_request_logs, purge_usage_counters, sweep_reservations
from metering.settle import Settlement, call_writer
from metering.usage_limits import UsageLimits
from security.metrics.live import Live


class Metering:
    """What all metered calls of one process share: their limits, and the commits that settle them."""

    def __init__(
        self,
        engine: Engine,
        connect: Callable[[], Connection],
        redis: RedisServer,
        confirm: Callable[[Caller], Caller],
        *,
        request_log_days: int,
        clock: Clock = utc_now,
    ) -> None:
        """`connect` opens the connection on which calls are settled. `confirm` reads anew who calls, when what was known of
        them has changed. Starts no thread and connects to nothing.
        """
        self.limits = UsageLimits(PostgresLimits(engine), redis)
        self.settlement = Settlement(call_writer(connect))
        self.confirm = confirm
        self.request_log_days = request_log_days
        self.clock = clock
        self.live: list[Live] = []

    def calls(self, upstream: str, *, breaker: Breaker, bulkhead: Bulkhead, longest_call: float) -> MeteredCalls:
        """The metered calls of one upstream; `upstream` is its name in the metrics. After `longest_call` seconds each has
        certainly ended, settled or not.
        """
        self.live += (
            Live(BREAKER_OPEN.labels(upstream), lambda: breaker.state() is not BreakerState.CLOSED),
            Live(IN_FLIGHT.labels(upstream), lambda: bulkhead.taken),
            Live(IN_FLIGHT_LIMIT.labels(upstream), lambda: bulkhead.size),
        )
        return MeteredCalls(
            limits=self.limits,
            breaker=breaker,
            bulkhead=bulkhead,
            settlement=self.settlement,
            idempotency=IdempotencyKeys(lease=timedelta(seconds=longest_call)),
            confirm=self.confirm,
            clock=self.clock,
        )

    @property
    def jobs(self) -> tuple[Job, ...]:
        """What each takes from the database is bounded, and the next turn takes the rest."""
        return (
            Job("sweep_reservations", sweep_reservations, cron="*/5 * * * *"),
            Job("purge_request_logs", lambda: purge_request_logs(self.request_log_days), cron="27 * * * *"),
            Job("purge_usage_counters", purge_usage_counters, cron="37 3 * * *"),
            Job("purge_idempotency_keys", purge_idempotency_keys, cron="7 * * * *"),
        )
