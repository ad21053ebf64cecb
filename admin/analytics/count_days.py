"""A job: what happened on a day is counted once when the day is over, and every five minutes while it is not.

So a report adds up days, whatever the log of calls has grown to, and keeps them when the log is deleted.
"""

from datetime import date, timedelta

from sqlalchemy import delete, text

from admin.analytics.models import ResponseTimesOfDay, UsageOfDay
from database import reading, transaction
from database.batch import work_through

BATCH = "analytics_days"
FIRST_DAYS = 89
"""How far back the first run goes: the log of calls (metering/purge.py) is whole for so long."""
LONGEST_COUNT = timedelta(minutes=10)
LATE = "interval '1 minute'"
"""A call's row bears the time when its transaction began, and is seen when it is committed: within seconds, or not at all."""

TO_COUNT = f"""
    SELECT begins::date
    FROM generate_series(
        (now() AT TIME ZONE 'UTC')::date - :first_days,
        (now() - {LATE}) AT TIME ZONE 'UTC',
        interval '1 day'
    ) AS begins
    WHERE NOT EXISTS (SELECT FROM activity_by_day AS counted WHERE counted.day = begins::date AND counted.finished)
    ORDER BY begins DESC
"""  # nosec B608 # noqa: S608 - a constant of this file
"""The newest first: meanwhile reports read from the log what happened since the newest day that is counted."""

COUNT_ACTIVITY = f"""
    INSERT INTO activity_by_day (
        day, counted_until, finished, registered, verified, active_users, weekly_active_users, monthly_active_users
    )
    SELECT :day, until, until = ends, registered, verified, analytics_active_users(begins, until),
           CASE WHEN until = ends THEN analytics_active_users(ends - interval '7 days', until) END,
           CASE WHEN until = ends THEN analytics_active_users(ends - interval '30 days', until) END
    FROM (
        SELECT begins, ends, least(ends, now() - {LATE}) AS until
        FROM (
            SELECT CAST(:day AS date)::timestamp AT TIME ZONE 'UTC' AS begins,
                   (CAST(:day AS date) + 1)::timestamp AT TIME ZONE 'UTC' AS ends
        ) AS bounds
    ) AS counted
    CROSS JOIN analytics_registrations_of(:day)
    ON CONFLICT (day) DO UPDATE SET
        counted_until = excluded.counted_until, finished = excluded.finished,
        registered = excluded.registered, verified = excluded.verified, active_users = excluded.active_users,
        weekly_active_users = excluded.weekly_active_users, monthly_active_users = excluded.monthly_active_users
    WHERE NOT activity_by_day.finished
    RETURNING counted_until, finished
"""  # nosec B608 # noqa: S608 - a constant of this file
COUNT_USAGE = """
    INSERT INTO usage_by_day (day, feature, calls, succeeded, failed, refused, price_micros, cost_micros)
    SELECT * FROM analytics_usage_between(CAST(:day AS date)::timestamp AT TIME ZONE 'UTC', :until)
"""
COUNT_RESPONSE_TIMES = """
    INSERT INTO response_times_by_day (day, feature, response_bucket, calls)
    SELECT * FROM analytics_response_times_between(CAST(:day AS date)::timestamp AT TIME ZONE 'UTC', :until)
"""
FIND_PERCENTILES = """
    UPDATE usage_by_day SET p50_ms = found.p50_ms, p95_ms = found.p95_ms, p99_ms = found.p99_ms
    FROM analytics_response_times_of(:day, :day, 'day') AS found
    WHERE usage_by_day.day = :day AND usage_by_day.feature = found.feature
"""
COUNT_SUBSCRIPTIONS = """
    INSERT INTO subscriptions_by_day (
        day, provider, environment, tier, currency, active_at_start, started, ended, active,
        paying_at_start, paying_ended, paying, mrr_ended, mrr
    )
    SELECT :day, counted.* FROM analytics_subscriptions_of(:day) AS counted
"""


def count_days() -> int:
    """Returns how many days were counted. A finished day is never counted again."""
    with reading() as session:
        days = session.scalars(text(TO_COUNT), {"first_days": FIRST_DAYS}).all()
    return work_through(BATCH, days, count_day)


def count_day(day: date) -> int:
    """Count it as far as it has come. Two workers take turns at its row; the second finds a finished day as it is."""
    given = {"day": day}
    with transaction() as session:
        session.execute(text(f"SET LOCAL statement_timeout = {LONGEST_COUNT // timedelta(milliseconds=1)}"))
        counted = session.execute(text(COUNT_ACTIVITY), given).one_or_none()
        if counted is None:
            return 0
        session.execute(delete(UsageOfDay).where(UsageOfDay.day == day))
        session.execute(delete(ResponseTimesOfDay).where(ResponseTimesOfDay.day == day))
        for statement in (COUNT_USAGE, COUNT_RESPONSE_TIMES):
            session.execute(text(statement), {**given, "until": counted.counted_until})
        if counted.finished:
            session.execute(text(FIND_PERCENTILES), given)
            session.execute(text(COUNT_SUBSCRIPTIONS), given)
    return 1
