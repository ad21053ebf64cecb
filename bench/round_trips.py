"""How often one prediction goes to Redis and PostgreSQL, counted on the wire."""

import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from urllib.parse import urlsplit

from auth.tiers import Tier
from bench.callers import prediction_requests
from bench.counting_proxy import CountingProxy
from bench.load import ask_once
from bench.processors import Processors
from bench.services import Services, private_server
from bench.targets import Addresses, gateway_target
from bench.web_server import web_server
from bench.wire_commands import PostgresStatements, RedisCommands

CALLERS = 20
FREE_PREDICTIONS_A_DAY = 5
TRANSACTION_ENDS = frozenset({"COMMIT", "ROLLBACK"})


@dataclass(frozen=True)
class Trips:
    """What one request cost."""

    redis: int
    redis_commands: tuple[str, ...]
    postgres: int
    statements: tuple[str, ...]

    @property
    def transactions(self) -> int:
        """Statements outside BEGIN … COMMIT are transactions of their own."""
        count, inside = 0, False
        for statement in self.statements:
            if statement == "BEGIN":
                inside = True
            elif statement in TRANSACTION_ENDS:
                count, inside = count + inside, False
            else:
                count += not inside
        return count


def round_trips(services: Services, processors: Processors) -> bool:
    """Print the table. Predictions are made one at a time, so that each one's trips can be told apart."""
    secret = secrets.token_urlsafe(48)
    with ExitStack() as stack:
        private_url = stack.enter_context(private_server(secret=secret, delay_ms=0))
        database_url = services.postgres.ensure_database("round_trips")
        redis_url = services.redis_url(4)
        target = gateway_target(Addresses(database_url, redis_url, private_url, secret))
        callers = prediction_requests(target.tokens(CALLERS, Tier.ENTERPRISE))
        (free_caller,) = prediction_requests(target.tokens(1, Tier.FREE))
        postgres, postgres_url = stack.enter_context(counted(database_url, PostgresStatements))
        redis, proxied_redis_url = stack.enter_context(counted(redis_url, RedisCommands))
        environment = {**target.environment, "DATABASE_URL": postgres_url, "REDIS_URL": proxied_redis_url}
        server = stack.enter_context(
            web_server("round-trips", target.command, environment, first_request=callers[0], processors=processors)
        )

        def ask(request: bytes) -> tuple[int, Trips]:
            redis.take()
            postgres.take()
            status, _ = ask_once(server.port, request, timeout=10)
            in_redis, in_postgres = redis.take(), postgres.take()
            return status, Trips(in_redis.round_trips, in_redis.commands, in_postgres.round_trips, in_postgres.commands)

        first = [ask(request) for request in callers[1:]]
        warm = [ask(request) for _ in range(5) for request in callers]
        for _ in range(FREE_PREDICTIONS_A_DAY):
            ask(free_caller)
        refused = [ask(free_caller) for _ in range(5)]
        redis.take()
        postgres.take()
        time.sleep(2)
        idle = Trips(
            (in_redis := redis.take()).round_trips,
            in_redis.commands,
            (in_postgres := postgres.take()).round_trips,
            in_postgres.commands,
        )
    print(f"{'prediction':<28} {'status':>6} {'Redis trips':>12} {'PG trips':>9} {'PG transactions':>16}   commands")
    for name, asked in (("a caller's first", first), ("accepted", warm), ("refused: the day is used up", refused)):
        print_row(name, asked)
    print(f"in the background, in 2 s without requests: Redis {idle.redis} trips, PostgreSQL {idle.postgres} trips")
    return all(status == 200 for status, _ in (*first, *warm))


def print_row(name: str, asked: Sequence[tuple[int, Trips]]) -> None:
    """The medians, and the most frequent list of commands."""
    statuses = "/".join(str(status) for status in sorted({status for status, _ in asked}))
    trips = [found for _, found in asked]
    commands = Counter((*found.redis_commands, *found.statements) for found in trips).most_common(1)[0][0]
    print(
        f"{name:<28} {statuses:>6} {median(found.redis for found in trips):>12.0f} "
        f"{median(found.postgres for found in trips):>9.0f} "
        f"{median(found.transactions for found in trips):>16.0f}   {', '.join(commands)}"
    )


@contextmanager
def counted(url: str, reader: type[RedisCommands] | type[PostgresStatements]) -> Iterator[tuple[CountingProxy, str]]:
    """A proxy in front of the server at `url`, and the URL that goes through it."""
    address = urlsplit(url)
    assert address.hostname is not None and address.port is not None
    with CountingProxy(address.hostname, address.port, reader) as proxy:
        credentials = address.netloc.rpartition("@")[0]
        netloc = f"{credentials}@127.0.0.1:{proxy.listening_on}" if credentials else f"127.0.0.1:{proxy.listening_on}"
        yield proxy, address._replace(netloc=netloc).geturl()
