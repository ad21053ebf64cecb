"""How long a user's own usage takes to read with ten thousand calls in the log, and with ten million of others beside theirs."""

import secrets
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter

import psycopg2
from flask.testing import FlaskClient
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from app import assemble
from auth.tiers import Tier
from bench.analytics import FEW, MANY, ROUNDS, timed
from bench.callers import HOST
from bench.processors import Processors
from bench.services import Services
from bench.targets import Addresses, gateway_target
from config import load_settings

OWN = 1_000
"""Calls of the one who asks, in both logs, evenly among those of the others."""
USERS = 1_000
DAYS = 90
PATHS = ("summary", "requests", "requests?status=failed", "requests?feature=chat&limit=200", "budget")

FILL = (
    # As a restore does it: the rows first, then what finds them.
    "SET session_replication_role = replica",
    "DROP INDEX ix_request_logs_user_id_created_at, ix_request_logs_created_at",
    """
    INSERT INTO request_logs (
        id, user_id, request_data_hash, success, outcome, response_time_ms, error_code, created_at, feature, tier, status,
        upstream_ms, window_date, price_micros
    )
    SELECT lpad(to_hex(n), 32, '0')::uuid,
           CASE WHEN n %% (%(calls)s / %(own)s) = 0 THEN %(owner)s::uuid
                ELSE lpad(to_hex(1 + n %% %(users)s), 32, '0')::uuid END,
           repeat('0', 64), odd, CASE WHEN odd THEN 'delivered' ELSE 'failed' END, 300,
           CASE WHEN NOT odd THEN 'upstream_error' END, at, (ARRAY['predict', 'solve', 'chat'])[1 + mine %% 3], 'free', 200, 1,
           (at AT TIME ZONE 'UTC')::date, CASE WHEN odd THEN 1000000 ELSE 0 END
    FROM generate_series(1, %(calls)s) AS n, LATERAL (
        SELECT n / (%(calls)s / %(own)s) AS mine,
               n / (%(calls)s / %(own)s) %% 25 <> 0 AS odd,
               now() - (1 - n / %(calls)s::float8) * interval '%(days)s days' AS at
    ) AS of_call
    """,
    "CREATE INDEX ix_request_logs_user_id_created_at ON request_logs (user_id, created_at)",
    "CREATE INDEX ix_request_logs_created_at ON request_logs (created_at)",
    "VACUUM (ANALYZE)",
)


@dataclass(frozen=True)
class Log:
    client: FlaskClient
    token: str

    def milliseconds(self, path: str) -> float:
        began = perf_counter()
        answer = self.client.get(
            f"/api/gateway/usage/{path}",
            headers={"Authorization": f"Bearer {self.token}"},
            base_url=f"https://{HOST}",
        )
        took = (perf_counter() - began) * 1000
        if answer.status_code != 200:
            raise RuntimeError(f"{path}: {answer.status_code}")
        return took


def usage(services: Services, _processors: Processors) -> bool:
    """Print the table. The calls of both logs are spread evenly over 90 days."""
    few, many = (filled(services, calls) for calls in (FEW, MANY))
    print(f"{'path':34}{f'{FEW:,}':>12}{f'{MANY:,}':>14}  ratio   (ms, medians of {ROUNDS})")
    for path in PATHS:
        pairs = [(few.milliseconds(path), many.milliseconds(path)) for _ in range(ROUNDS)]
        small, large = (median(times) for times in zip(*pairs, strict=True))
        ratio = median(large / small for small, large in pairs)
        print(f"{path:34}{small:12.1f}{large:14.1f}{ratio:7.2f}", flush=True)
    return True


def filled(services: Services, calls: int) -> Log:
    """An application on a database with so many calls."""
    url = services.postgres.ensure_database(f"usage_{calls}")
    target = gateway_target(Addresses(url, services.redis_url(9), "http://127.0.0.1:9", secrets.token_urlsafe(48)))
    (token,) = target.tokens(1, Tier.FREE)  # it migrates the database
    app = assemble(load_settings({**target.environment, "LOG_LEVEL": "ERROR"}))
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        print(f"{calls:,} calls: written in {timed(partial(fill, connection, calls)):.0f} s")
    return Log(app.test_client(), token)


def fill(connection: Connection, calls: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id::text FROM users")
        (owner,) = cursor.fetchone() or ("",)
        for statement in FILL:
            cursor.execute(statement, {"calls": calls, "own": OWN, "owner": owner, "users": USERS, "days": DAYS})
