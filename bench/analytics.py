"""How long a report takes with ten thousand calls in the log, and with ten million."""

import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from statistics import median

import psycopg2
from flask.testing import FlaskClient
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from admin.analytics.count_days import count_days
from app import assemble
from auth.tiers import Tier
from bench.callers import HOST
from bench.processors import Processors
from bench.services import Services
from bench.targets import Addresses, gateway_target
from config import load_settings

FEW, MANY = 10_000, 10_000_000
USERS = 1_000
DAYS = 90
REPORTS = ("activity", "subscriptions", "revenue", "usage", "response-times")
INTERVALS = ("day", "week", "month")
ROUNDS = 51

FILL = (
    # As a restore does it: the rows first, then what finds them.
    "SET session_replication_role = replica",
    "DROP INDEX ix_request_logs_user_id_created_at, ix_request_logs_created_at",
    """
    INSERT INTO users (id, email, email_key, created_at, updated_at)
    SELECT lpad(to_hex(n), 32, '0')::uuid, n::text, n::text, now(), now() FROM generate_series(1, %(users)s) AS n
    """,
    """
    INSERT INTO request_logs (
        id, user_id, request_data_hash, success, outcome, response_time_ms, error_code, created_at, feature, tier, status,
        upstream_ms, window_date
    )
    SELECT lpad(to_hex(n), 32, '0')::uuid, lpad(to_hex(1 + n %% %(users)s), 32, '0')::uuid, repeat('0', 64),
           n %% 25 <> 0, CASE WHEN n %% 25 <> 0 THEN 'delivered' ELSE 'failed' END,
           exp(5.7 + 1.6 * (random() + random() + random() - 1.5))::integer, CASE WHEN n %% 25 = 0 THEN 'upstream_error' END,
           at, (ARRAY['predict', 'solve', 'chat'])[1 + n %% 3], 'free', 200, 1, at::date
    FROM generate_series(1, %(calls)s) AS n, LATERAL (
        SELECT now() - (1 - n / %(calls)s::float8) * interval '%(days)s days' AS at
    ) AS moment
    """,
    "CREATE INDEX ix_request_logs_user_id_created_at ON request_logs (user_id, created_at)",
    "CREATE INDEX ix_request_logs_created_at ON request_logs (created_at)",
    """
    INSERT INTO subscriptions (
        id, provider, environment, stripe_subscription_id, tier, status, lapsed_at, price_amount, price_currency, price_months,
        created_at, updated_at
    )
    SELECT gen_random_uuid(), 'stripe', 'live', n::text, (ARRAY['plus', 'pro', 'team'])[1 + n %% 3],
           CASE WHEN n %% 4 = 0 THEN 'canceled' ELSE 'active' END,
           CASE WHEN n %% 4 = 0 THEN now() - n * interval '1 day' / 20 END, 900, (ARRAY['usd', 'eur'])[1 + n %% 2], 1,
           now() - interval '80 days', now()
    FROM generate_series(1, %(users)s) AS n
    """,
    "VACUUM (ANALYZE)",
)

LONGEST_AGO = "UPDATE activity_by_day SET counted_until = now() - interval '6 minutes' WHERE NOT finished"
"""As it is just before the next count, so that reports read as much from the log as they ever do."""


@dataclass(frozen=True)
class Filled:
    client: FlaskClient
    headers: Mapping[str, str]

    def milliseconds(self, report: str, interval: str) -> float:
        began = time.perf_counter()
        answer = self.client.get(
            f"/api/admin/analytics/{report}",
            query_string={"interval": interval},
            headers=self.headers,
            base_url=f"https://{HOST}",
        )
        took = (time.perf_counter() - began) * 1000
        if answer.status_code != 200:
            raise RuntimeError(f"{report}: {answer.status_code}")
        return took


def analytics(services: Services, _processors: Processors) -> bool:
    """Print the table. The calls of both logs are spread evenly over 90 days, today among them. Reports cover 30 days."""
    few, many = (filled(services, calls) for calls in (FEW, MANY))
    print(f"{'report':16}{'interval':10}{f'{FEW:,}':>12}{f'{MANY:,}':>14}  ratio   (ms, medians of {ROUNDS})")
    for report in REPORTS:
        for interval in INTERVALS:
            pairs = [(few.milliseconds(report, interval), many.milliseconds(report, interval)) for _ in range(ROUNDS)]
            small, large = (median(times) for times in zip(*pairs, strict=True))
            ratio = median(large / small for small, large in pairs)
            print(f"{report:16}{interval:10}{small:12.1f}{large:14.1f}{ratio:7.2f}", flush=True)
    return True


def filled(services: Services, calls: int) -> Filled:
    """An application on a database with so many calls, whose days are counted."""
    url = services.postgres.ensure_database(f"analytics_{calls}")
    target = gateway_target(Addresses(url, services.redis_url(8), "http://127.0.0.1:9", secrets.token_urlsafe(48)))
    (token,) = target.tokens(1, Tier.FREE)  # it migrates the database
    app = assemble(load_settings({**target.environment, "LOG_LEVEL": "ERROR"}))
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        written = timed(partial(fill, connection, calls))
        with app.app_context():
            first, again = timed(count_days), timed(count_days)
        connection.cursor().execute(LONGEST_AGO)
        connection.cursor().execute("ANALYZE")  # as autovacuum does, which would do it while reports are measured
    print(
        f"{calls:,} calls: written in {written:.0f} s, {DAYS} days counted in {first:.1f} s, today again in {again:.2f} s"
    )
    return Filled(app.test_client(), {"Authorization": f"Bearer {token}"})


def fill(connection: Connection, calls: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE users SET role = 'admin'")
        for statement in FILL:
            cursor.execute(statement, {"calls": calls, "users": USERS, "days": DAYS})


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
