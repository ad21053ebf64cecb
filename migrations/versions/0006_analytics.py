"""Analytics: finished days, counted once, and views of them by day; what a subscription's owner pays"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


COUNTING = """
CREATE FUNCTION analytics_response_bucket(milliseconds integer) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ceil(ln(greatest(milliseconds, 1)::float8) / ln(1.1::float8))::smallint
$$;

CREATE FUNCTION analytics_milliseconds(response_bucket smallint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT round(2 * power(1.1::float8, response_bucket) / 2.1)::bigint
$$;

CREATE FUNCTION analytics_usage_between(since timestamptz, until timestamptz)
RETURNS TABLE (
    day date, feature text, calls bigint, succeeded bigint, failed bigint, refused bigint, price_micros bigint, cost_micros bigint
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT (log.created_at AT TIME ZONE 'UTC')::date,
           log.feature,
           count(*) FILTER (WHERE log.outcome IS DISTINCT FROM 'refused'),
           count(*) FILTER (WHERE log.success),
           count(*) FILTER (WHERE NOT log.success AND log.outcome IS DISTINCT FROM 'refused'),
           count(*) FILTER (WHERE log.outcome = 'refused'),
           sum(log.price_micros)::bigint,
           sum(log.cost_micros)::bigint
    FROM request_logs AS log
    WHERE log.created_at >= since AND log.created_at < until
    GROUP BY 1, 2
$$;

CREATE FUNCTION analytics_response_times_between(since timestamptz, until timestamptz)
RETURNS TABLE (day date, feature text, response_bucket smallint, calls bigint)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT (log.created_at AT TIME ZONE 'UTC')::date, log.feature, analytics_response_bucket(log.response_time_ms), count(*)
    FROM request_logs AS log
    WHERE log.created_at >= since AND log.created_at < until AND log.outcome IS DISTINCT FROM 'refused'
    GROUP BY 1, 2, 3
$$;

CREATE FUNCTION analytics_active_users(since timestamptz, until timestamptz) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT count(*) FROM users
    WHERE EXISTS (
        SELECT FROM request_logs AS log
        WHERE log.user_id = users.id AND log.created_at >= since AND log.created_at < until
    )
$$;

CREATE FUNCTION analytics_registrations_of(of_day date) RETURNS TABLE (registered bigint, verified bigint)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT count(DISTINCT user_id) FILTER (WHERE event = 'registered'),
           count(DISTINCT user_id) FILTER (WHERE event = 'email_verified' OR detail ->> 'method' IN ('apple', 'google'))
    FROM security_events
    WHERE event IN ('registered', 'email_verified')
        AND occurred_at >= of_day::timestamp AT TIME ZONE 'UTC'
        AND occurred_at < (of_day + 1)::timestamp AT TIME ZONE 'UTC'
$$;

CREATE VIEW analytics_subscription_spans AS
SELECT provider,
       CASE WHEN environment IN ('test', 'Sandbox') THEN 'test' ELSE 'live' END AS environment,
       tier,
       CASE WHEN price_amount > 0 THEN price_currency END AS currency,
       CASE WHEN price_amount > 0 THEN price_amount::numeric / price_months END AS monthly,
       created_at AS starts_at,
       coalesce(
           lapsed_at,
           CASE
               WHEN revoked_at IS NOT NULL THEN least(revoked_at, updated_at)
               WHEN status IN ('active', 'trialing') THEN least(period_end + interval '1 hour', cancel_at)
               WHEN status = 'grace' THEN coalesce(grace_end, '-infinity')
               WHEN status IN ('billing_retry', 'unknown') THEN coalesce(period_end, '-infinity')
               ELSE least(period_end, updated_at)
           END
       ) AS ends_at
FROM subscriptions
WHERE tier <> 'free';

CREATE FUNCTION analytics_subscriptions_of(of_day date)
RETURNS TABLE (
    provider text, environment text, tier text, currency text,
    active_at_start bigint, started bigint, ended bigint, active bigint,
    paying_at_start bigint, paying_ended bigint, paying bigint, mrr_ended bigint, mrr bigint
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT span.provider, span.environment, span.tier, coalesce(span.currency, ''),
           count(*) FILTER (WHERE was),
           count(*) FILTER (WHERE NOT was),
           count(*) FILTER (WHERE NOT stays),
           count(*) FILTER (WHERE stays),
           count(monthly) FILTER (WHERE was),
           count(monthly) FILTER (WHERE NOT stays),
           count(monthly) FILTER (WHERE stays),
           coalesce(round(sum(monthly) FILTER (WHERE NOT stays)), 0)::bigint,
           coalesce(round(sum(monthly) FILTER (WHERE stays)), 0)::bigint
    FROM (
        SELECT of_day::timestamp AT TIME ZONE 'UTC' AS since,
               least((of_day + 1)::timestamp AT TIME ZONE 'UTC', now()) AS until
    ) AS bounds
    CROSS JOIN LATERAL (
        SELECT each.*, each.starts_at < bounds.since AS was, coalesce(each.ends_at >= bounds.until, true) AS stays
        FROM analytics_subscription_spans AS each
        WHERE each.starts_at < bounds.until
            AND coalesce(each.ends_at >= bounds.since AND each.ends_at > each.starts_at, true)
    ) AS span
    GROUP BY 1, 2, 3, 4
$$;
"""
"""What is counted, in one place for finished days and for the day that is not over. Response times fall into buckets that grow by a
tenth, so a percentile of them is within 5 % of the true one, and buckets of days add up to those of weeks and months."""

VIEWS = """
CREATE VIEW analytics_open_days AS
SELECT begins::date AS day
FROM (SELECT (now() AT TIME ZONE 'UTC')::date AS today) AS clock
CROSS JOIN LATERAL generate_series(
    coalesce((SELECT max(day) FROM activity_by_day), today), today, interval '1 day'
) AS begins
WHERE NOT EXISTS (SELECT FROM activity_by_day AS counted WHERE counted.day = begins::date)
UNION ALL
SELECT day FROM activity_by_day WHERE NOT finished;

CREATE VIEW analytics_not_counted_yet AS
SELECT coalesce(max(counted_until), date_trunc('day', now(), 'UTC')) AS since FROM activity_by_day;

CREATE VIEW analytics_usage AS
SELECT day, feature, sum(calls)::bigint AS calls, sum(succeeded)::bigint AS succeeded, sum(failed)::bigint AS failed,
       sum(refused)::bigint AS refused, round(sum(succeeded) / nullif(sum(calls), 0), 4) AS success_rate,
       sum(price_micros)::bigint AS price_micros, sum(cost_micros)::bigint AS cost_micros
FROM (
    SELECT day, feature, calls, succeeded, failed, refused, price_micros, cost_micros FROM usage_by_day
    UNION ALL
    SELECT later.* FROM analytics_not_counted_yet, LATERAL analytics_usage_between(since, 'infinity') AS later
) AS counted
GROUP BY day, feature;

CREATE VIEW analytics_response_buckets AS
SELECT * FROM response_times_by_day
UNION ALL
SELECT later.* FROM analytics_not_counted_yet, LATERAL analytics_response_times_between(since, 'infinity') AS later;

CREATE FUNCTION analytics_response_times_of(since date, until date, step text)
RETURNS TABLE (starts_on date, feature text, calls bigint, p50_ms bigint, p95_ms bigint, p99_ms bigint)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT ranked.starts_on, ranked.feature, max(ranked.total)::bigint,
           analytics_milliseconds(min(ranked.response_bucket) FILTER (WHERE ranked.upto >= ranked.total * 0.50)),
           analytics_milliseconds(min(ranked.response_bucket) FILTER (WHERE ranked.upto >= ranked.total * 0.95)),
           analytics_milliseconds(min(ranked.response_bucket) FILTER (WHERE ranked.upto >= ranked.total * 0.99))
    FROM (
        SELECT merged.*,
               sum(merged.calls) OVER (PARTITION BY merged.starts_on, merged.feature ORDER BY merged.response_bucket) AS upto,
               sum(merged.calls) OVER (PARTITION BY merged.starts_on, merged.feature) AS total
        FROM (
            SELECT date_trunc(step, each.day::timestamp)::date AS starts_on, each.feature, each.response_bucket,
                   sum(each.calls::float8) AS calls
            FROM analytics_response_buckets AS each
            WHERE each.day BETWEEN since AND until
            GROUP BY 1, 2, 3
        ) AS merged
    ) AS ranked
    GROUP BY 1, 2
$$;

CREATE VIEW analytics_response_times AS
SELECT day, feature, calls, p50_ms, p95_ms, p99_ms FROM usage_by_day WHERE p50_ms IS NOT NULL
UNION ALL
SELECT open.day, fresh.feature, fresh.calls, fresh.p50_ms, fresh.p95_ms, fresh.p99_ms
FROM analytics_open_days AS open CROSS JOIN LATERAL analytics_response_times_of(open.day, open.day, 'day') AS fresh;

CREATE VIEW analytics_activity AS
SELECT day, registered, verified, active_users, weekly_active_users, monthly_active_users FROM activity_by_day WHERE finished
UNION ALL
SELECT day, fresh.registered, fresh.verified,
       coalesce(
           counted.active_users,
           analytics_active_users(day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC')
       ), NULL, NULL
FROM analytics_open_days
CROSS JOIN LATERAL analytics_registrations_of(day) AS fresh
LEFT JOIN activity_by_day AS counted USING (day);

CREATE VIEW analytics_subscription_days AS
SELECT * FROM subscriptions_by_day
UNION ALL
SELECT day, fresh.* FROM analytics_open_days CROSS JOIN LATERAL analytics_subscriptions_of(day) AS fresh;

CREATE VIEW analytics_subscriptions AS
SELECT day, provider, environment, tier,
       sum(active_at_start)::bigint AS active_at_start, sum(started)::bigint AS started, sum(ended)::bigint AS ended,
       sum(active)::bigint AS active
FROM analytics_subscription_days GROUP BY day, provider, environment, tier;

CREATE VIEW analytics_revenue AS
SELECT day, provider, environment, currency,
       sum(paying_at_start)::bigint AS paying_at_start, sum(paying_ended)::bigint AS paying_ended,
       sum(paying)::bigint AS paying,
       round(sum(paying_ended) / nullif(sum(paying_at_start), 0), 4) AS churn_rate,
       sum(mrr_ended)::bigint AS mrr_ended, sum(mrr)::bigint AS mrr
FROM analytics_subscription_days WHERE currency <> '' GROUP BY day, provider, environment, currency;
"""
"""By day. The days that are not finished are read from where they happened."""

VIEW_NAMES = (
    "analytics_revenue",
    "analytics_subscriptions",
    "analytics_subscription_days",
    "analytics_activity",
    "analytics_response_times",
    "analytics_response_buckets",
    "analytics_usage",
    "analytics_not_counted_yet",
    "analytics_open_days",
    "analytics_subscription_spans",
)
FUNCTIONS = (
    "analytics_response_times_of(date, date, text)",
    "analytics_subscriptions_of(date)",
    "analytics_registrations_of(date)",
    "analytics_active_users(timestamptz, timestamptz)",
    "analytics_response_times_between(timestamptz, timestamptz)",
    "analytics_usage_between(timestamptz, timestamptz)",
    "analytics_milliseconds(smallint)",
    "analytics_response_bucket(integer)",
)
COUNTS = (
    "active_at_start",
    "started",
    "ended",
    "active",
    "paying_at_start",
    "paying_ended",
    "paying",
    "mrr_ended",
    "mrr",
)


def upgrade() -> None:
    op.add_column("subscriptions", sa.Column("lapsed_at", sa.DateTime(timezone=True)))
    op.add_column("subscriptions", sa.Column("price_amount", sa.BigInteger()))
    op.add_column("subscriptions", sa.Column("price_currency", sa.Text()))
    op.add_column("subscriptions", sa.Column("price_months", sa.Integer()))
    op.create_table(
        "activity_by_day",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("counted_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished", sa.Boolean(), nullable=False),
        sa.Column("registered", sa.BigInteger(), nullable=False),
        sa.Column("verified", sa.BigInteger(), nullable=False),
        sa.Column("active_users", sa.BigInteger(), nullable=False),
        sa.Column("weekly_active_users", sa.BigInteger()),
        sa.Column("monthly_active_users", sa.BigInteger()),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_activity_by_day")),
    )
    op.create_table(
        "usage_by_day",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("feature", sa.Text(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("succeeded", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("price_micros", sa.BigInteger(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False),
        sa.Column("p50_ms", sa.BigInteger()),
        sa.Column("p95_ms", sa.BigInteger()),
        sa.Column("p99_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("day", "feature", name=op.f("pk_usage_by_day")),
    )
    op.create_table(
        "response_times_by_day",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("feature", sa.Text(), nullable=False),
        sa.Column("response_bucket", sa.SmallInteger(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "feature", "response_bucket", name=op.f("pk_response_times_by_day")),
    )
    op.create_table(
        "subscriptions_by_day",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTS),
        sa.PrimaryKeyConstraint(
            "day", "provider", "environment", "tier", "currency", name=op.f("pk_subscriptions_by_day")
        ),
    )
    op.execute(COUNTING)
    op.execute(VIEWS)


def downgrade() -> None:
    for name in VIEW_NAMES:
        op.execute(f"DROP VIEW {name}")
    for name in FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}")
    for name in ("subscriptions_by_day", "response_times_by_day", "usage_by_day", "activity_by_day"):
        op.drop_table(name)
    for name in ("price_months", "price_currency", "price_amount", "lapsed_at"):
        op.drop_column("subscriptions", name)
