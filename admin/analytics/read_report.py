"""Reading a report: the views of the database, added up for each day, week or month."""

from dataclasses import dataclass
from datetime import date
from typing import Generic, TypeVar

from sqlalchemy import text

from admin.analytics.bodies import (
    ActivityRow,
    Interval,
    ResponseTimesRow,
    RevenueRow,
    Row,
    SubscriptionsRow,
    UsageRow,
)
from database import reading_report

AnyRow = TypeVar("AnyRow", bound=Row)

OF_INTERVAL = """
    SELECT date_trunc(:interval, day::timestamp)::date AS starts_on,
           day = min(day) OVER (PARTITION BY date_trunc(:interval, day::timestamp)) AS is_first,
           day = max(day) OVER (PARTITION BY date_trunc(:interval, day::timestamp)) AS is_last,
           counted.*
    FROM {view} AS counted WHERE day BETWEEN :first AND :last
"""
"""The number of subscriptions when an interval began is that of its first day, and when it ended that of its last."""


@dataclass(frozen=True)
class View(Generic[AnyRow]):
    """`statement` reads its rows between :first and :last, for each :interval, in the order of their intervals."""

    row: type[AnyRow]
    statement: str


ACTIVITY = View(
    ActivityRow,
    """
    SELECT date_trunc(:interval, day::timestamp)::date AS starts_on,
           sum(registered)::bigint AS registered,
           sum(verified)::bigint AS verified,
           round(avg(active_users))::bigint AS active_users,
           (array_agg(weekly_active_users ORDER BY day DESC) FILTER (WHERE weekly_active_users IS NOT NULL))[1]
               AS weekly_active_users,
           (array_agg(monthly_active_users ORDER BY day DESC) FILTER (WHERE monthly_active_users IS NOT NULL))[1]
               AS monthly_active_users
    FROM analytics_activity WHERE day BETWEEN :first AND :last
    GROUP BY 1 ORDER BY 1
    """,
)
SUBSCRIPTIONS = View(
    SubscriptionsRow,
    f"""
    SELECT starts_on, provider, environment, tier,
           coalesce(sum(active_at_start) FILTER (WHERE is_first), 0)::bigint AS active_at_start,
           sum(started)::bigint AS started,
           sum(ended)::bigint AS ended,
           coalesce(sum(active) FILTER (WHERE is_last), 0)::bigint AS active
    FROM ({OF_INTERVAL.format(view="analytics_subscriptions")}) AS counted
    GROUP BY starts_on, provider, environment, tier ORDER BY starts_on, provider, environment, tier
    """,  # nosec B608 # noqa: S608 - constants of this file
)
REVENUE = View(
    RevenueRow,
    f"""
    SELECT starts_on, provider, environment, currency,
           coalesce(sum(paying_at_start) FILTER (WHERE is_first), 0)::bigint AS paying_at_start,
           sum(paying_ended)::bigint AS paying_ended,
           coalesce(sum(paying) FILTER (WHERE is_last), 0)::bigint AS paying,
           round(sum(paying_ended) / nullif(sum(paying_at_start) FILTER (WHERE is_first), 0), 4) AS churn_rate,
           sum(mrr_ended)::bigint AS mrr_ended,
           coalesce(sum(mrr) FILTER (WHERE is_last), 0)::bigint AS mrr
    FROM ({OF_INTERVAL.format(view="analytics_revenue")}) AS counted
    GROUP BY starts_on, provider, environment, currency ORDER BY starts_on, provider, environment, currency
    """,  # nosec B608 # noqa: S608 - constants of this file
)
USAGE = View(
    UsageRow,
    """
    SELECT date_trunc(:interval, day::timestamp)::date AS starts_on, feature,
           sum(calls)::bigint AS calls,
           sum(succeeded)::bigint AS succeeded,
           sum(failed)::bigint AS failed,
           sum(refused)::bigint AS refused,
           round(sum(succeeded) / nullif(sum(calls), 0), 4) AS success_rate,
           sum(price_micros)::bigint AS price_micros,
           sum(cost_micros)::bigint AS cost_micros
    FROM analytics_usage WHERE day BETWEEN :first AND :last
    GROUP BY 1, 2 ORDER BY 1, 2
    """,
)
RESPONSE_TIMES = View(
    ResponseTimesRow,
    """
    SELECT day AS starts_on, feature, calls, p50_ms, p95_ms, p99_ms
    FROM analytics_response_times WHERE :interval = 'day' AND day BETWEEN :first AND :last
    UNION ALL
    SELECT * FROM analytics_response_times_of(:first, :last, :interval) WHERE :interval <> 'day'
    ORDER BY starts_on, feature
    """,
)


def read_report(view: View[AnyRow], first: date, last: date, interval: Interval) -> list[AnyRow]:
    """From the replica where there is one. Days are UTC, both included; those in the future have no rows."""
    given = {"first": first, "last": last, "interval": interval.value}
    with reading_report() as session:
        return [view.row(**row) for row in session.execute(text(view.statement), given).mappings()]
