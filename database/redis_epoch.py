"""Who admits metered calls: Redis, or PostgreSQL. One row in PostgreSQL decides for all processes; its number is the epoch.

Each process runs one thread that renews its member row twice a second and reads the epoch. A process that cannot reach
PostgreSQL therefore stops trusting Redis by itself. On the first failure of Redis the epoch moves to PostgreSQL, which
admits nothing before every living process has published what it holds in Redis only. Redis comes back under a new
number, so under new keys. The SQL of each step is a function of the database (migration 0002).

One primary only: Redis Cluster and reads from replicas are not supported. A failover is another run, so a new epoch.
"""

import atexit
import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import redis

from database.redis_connections import RedisAddress, announce_epoch, connect
from database.redis_lease import RedisLease

log = logging.getLogger(__name__)

PublishInFlight = Callable[[Any, int], AbstractContextManager[None]]
"""Called with a cursor and the new epoch before this process acknowledges it: writes what only Redis held before.

The context stays open until the commit, and holds back whoever would begin or end a call meanwhile. It raises
StillAsking when calls are being asked for in Redis at this moment; the thread then tries again.
"""


class StillAsking(Exception):
    """A question to Redis has not been answered yet, so it is not known what this process holds."""


@dataclass(frozen=True)
class EpochTimes:
    """Seconds. A member is taken for alive for `alive` after a heartbeat; it trusts Redis `margin` less than that.

    `drain` is how long a member that died may still have calls in flight: the longest call and its settling.
    """

    heartbeat: float = 0.5
    alive: float = 3.0
    margin: float = 1.0
    drain: float = 40.0
    first_probe: float = 1.0
    longest_probe: float = 10.0
    wait_at_start: float = 0.3


class RedisEpoch:
    """This process's view of the epoch. Make one per process; its thread starts with the first question, so after a fork."""

    def __init__(self, database_url: str, address: RedisAddress, times: EpochTimes | None = None) -> None:
        self.times = times or EpochTimes()
        self._database_url = database_url
        self._address = address
        self._publish: PublishInFlight = lambda _cursor, _epoch: nullcontext()
        self._member: UUID = uuid4()
        self._lease: RedisLease | None = None
        self._trusted_until = 0.0
        self._failed_epoch: int | None = None
        self._acknowledged: int | None = None
        self._reaches_redis = True
        self._probe_at = 0.0
        self._probe_delay = self.times.first_probe
        self._connection: Any = None
        self._thread: threading.Thread | None = None
        self._client: redis.Redis | None = None
        self._started = False
        self._starting = threading.Lock()
        self._view = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._settled = threading.Event()

    def publish_with(self, publish: PublishInFlight) -> None:
        """Say how calls in flight are written to PostgreSQL. Before the first use of a lease."""
        self._publish = publish

    def current(self) -> RedisLease | None:
        if not self._started:
            self.start()
        lease = self._lease
        return lease if lease is not None and time.monotonic() < self._trusted_until else None

    def failed(self, lease: RedisLease) -> None:
        with self._view:
            if self._lease is None or self._lease.epoch != lease.epoch:
                return
            self._lease, self._failed_epoch = None, lease.epoch
        log.warning("redis_failed", extra={"epoch": lease.epoch})
        self._wake.set()

    def start(self) -> None:
        """Start the thread, and give it a moment, so that the first request finds Redis in use already."""
        with self._starting:
            if self._started or self._stopping.is_set():
                return
            self._thread = threading.Thread(target=self._run, name="redis-epoch", daemon=True)
            self._thread.start()
            atexit.register(self.stop)
            self._settled.wait(self.times.wait_at_start)
            self._started = True

    def stop(self) -> None:
        """Leave: publish what is still in flight and take the member row away, so that nobody waits for this process."""
        self._stopping.set()
        self._wake.set()
        atexit.unregister(self.stop)
        if self._thread is not None:
            self._thread.join(5)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                busy = self._beat()
            except (psycopg2.Error, OSError) as error:
                log.warning("redis_epoch_heartbeat_failed", extra={"reason": type(error).__name__})
                self._disconnect()
                busy = False
            if not busy:
                self._settled.set()
            self._wake.wait(0.01 if busy else self.times.heartbeat * random.uniform(0.8, 1.2))  # noqa: S311
        self._lease = None
        with suppress(psycopg2.Error, OSError, StillAsking):
            self._resign()
        self._disconnect()
        self._close_client()

    def _beat(self) -> bool:
        """One heartbeat. True when there is more to do at once."""
        if (failed_epoch := self._failed_epoch) is not None:
            self._call("SELECT leave_redis(%s)", (failed_epoch,))
            with self._view:
                if self._failed_epoch == failed_epoch:
                    self._failed_epoch = None
        started = time.monotonic()
        number, backend, run_id = self._call(
            "SELECT * FROM redis_heartbeat(%s, %s, %s, %s)",
            (str(self._member), self._acknowledged, timedelta(seconds=self.times.alive), self._reaches_redis),
        )
        if self._acknowledged is None:
            self._acknowledged = number
        if number != self._acknowledged and not self._acknowledge(number):
            return True
        if backend == "redis":
            self._trust(number, run_id, started)
            return False
        self._forget_lease()
        return time.monotonic() >= self._probe_at and self._enter(number)

    def _trust(self, number: int, run_id: str, started: float) -> None:
        with self._view:
            if self._failed_epoch == number:
                return
            self._trusted_until = started + self.times.alive - self.times.margin
            if self._lease is None or self._lease.epoch != number:
                self._close_client()
                self._client = connect(self._address, run_id)
                self._lease = RedisLease(number, prefix_of(number), self._client)
                log.info("redis_in_use", extra={"epoch": number})

    def _acknowledge(self, number: int) -> bool:
        """Tell the others that nothing of this process is known to an earlier epoch only. False: try again at once."""
        self._forget_lease()
        try:
            self._with_published_calls(
                number, "UPDATE redis_epoch_members SET epoch = %s WHERE member = %s", (number, str(self._member))
            )
        except StillAsking:
            return False
        self._acknowledged = number
        self._probe_at = time.monotonic() + self._probe_delay * random.uniform(0.2, 1)  # noqa: S311
        return True

    def _resign(self) -> None:
        if self._acknowledged is not None:
            self._with_published_calls(
                self._acknowledged + 1, "DELETE FROM redis_epoch_members WHERE member = %s", (str(self._member),)
            )

    def _with_published_calls(self, epoch: int, statement: str, parameters: tuple[object, ...]) -> None:
        connection = self._connected()
        connection.autocommit = False
        try:
            with connection.cursor() as cursor, self._publish(cursor, epoch):
                cursor.execute(statement, parameters)
                connection.commit()
        finally:
            if not connection.closed:
                connection.rollback()
                connection.autocommit = True

    def _enter(self, number: int) -> bool:
        """Try to begin an epoch of Redis. True when one began, here or elsewhere."""
        try:
            run_id = announce_epoch(self._address, prefix_of(number + 1) + "epoch")
        except (redis.RedisError, OSError) as error:
            log.warning("redis_not_reachable", extra={"reason": str(error)[:200]})
            self._reaches_redis = False
            self._probe_delay = min(self.times.longest_probe, self._probe_delay * 2)
            self._probe_at = time.monotonic() + self._probe_delay * random.uniform(0.5, 1)  # noqa: S311
            return False
        self._probe_delay = self.times.first_probe
        self._probe_at = time.monotonic() + self._probe_delay * random.uniform(0.5, 1)  # noqa: S311
        if not self._reaches_redis:
            self._reaches_redis = True
            return True
        drain = timedelta(seconds=self.times.drain)
        (entered,) = self._call("SELECT enter_redis(%s, %s, %s)", (number, run_id, drain))
        return bool(entered)

    def _forget_lease(self) -> None:
        with self._view:
            self._lease = None

    def _close_client(self) -> None:
        if self._client is not None:
            self._client.connection_pool.disconnect()
            self._client = None

    def _call(self, statement: str, parameters: tuple[object, ...]) -> tuple[Any, ...]:
        with self._connected().cursor() as cursor:
            cursor.execute(statement, parameters)
            row: tuple[Any, ...] = cursor.fetchone()
            return row

    def _connected(self) -> Any:
        """A connection of its own, so that a full pool does not stop the heartbeat. Every wait ends within seconds."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg2.connect(
                self._database_url,
                application_name="mirroros-redis-epoch",
                connect_timeout=2,
                tcp_user_timeout=2000,
                options="-c statement_timeout=1500 -c lock_timeout=1000 -c timezone=UTC",
            )
            self._connection.autocommit = True
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None


def prefix_of(number: int) -> str:
    return f"mos:{number}:"
