"""How long a user's own usage takes to read with ten thousand calls in the log, and with ten million of others beside theirs."""

from bench.analytics import FEW, MANY
from bench.few_and_many import Lists, compare_sizes
from bench.processors import Processors
from bench.services import Services

LISTS = Lists(
    rows="calls",
    few=FEW,
    many=MANY,
    under="/api/gateway/usage",
    paths=("summary", "requests", "requests?status=failed", "requests?feature=chat&limit=200", "budget"),
    # `own` calls are of the one who asks, in both logs, evenly among those of the others.
    given={"own": 1_000, "users": 1_000, "days": 90},
    fill=(
        # As a restore does it: the rows first, then what finds them.
        "SET session_replication_role = replica",
        "DROP INDEX ix_request_logs_user_id_created_at, ix_request_logs_created_at",
        """
        INSERT INTO request_logs (
            id, user_id, request_data_hash, success, outcome, response_time_ms, error_code, created_at, feature, tier, status,
            upstream_ms, window_date, price_micros
        )
        SELECT lpad(to_hex(n), 32, '0')::uuid,
               CASE WHEN n %% (%(rows)s / %(own)s) = 0 THEN %(owner)s::uuid
                    ELSE lpad(to_hex(1 + n %% %(users)s), 32, '0')::uuid END,
               repeat('0', 64), odd, CASE WHEN odd THEN 'delivered' ELSE 'failed' END, 300,
               CASE WHEN NOT odd THEN 'upstream_error' END, at, (ARRAY['predict', 'solve', 'chat'])[1 + mine %% 3], 'free', 200, 1,
               (at AT TIME ZONE 'UTC')::date, CASE WHEN odd THEN 1000000 ELSE 0 END
        FROM generate_series(1, %(rows)s) AS n, LATERAL (
            SELECT n / (%(rows)s / %(own)s) AS mine,
                   n / (%(rows)s / %(own)s) %% 25 <> 0 AS odd,
                   now() - (1 - n / %(rows)s::float8) * interval '%(days)s days' AS at
        ) AS of_call
        """,
        "CREATE INDEX ix_request_logs_user_id_created_at ON request_logs (user_id, created_at)",
        "CREATE INDEX ix_request_logs_created_at ON request_logs (created_at)",
        "VACUUM (ANALYZE)",
    ),
)


def usage(services: Services, _processors: Processors) -> bool:
    """Print the table. The calls of both logs are spread evenly over 90 days."""
    return compare_sizes(LISTS, services)
