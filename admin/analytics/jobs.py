"""The background jobs of analytics."""

from admin.analytics.count_days import count_days
from database.jobs.declare import Job

ANALYTICS_JOBS = (Job("count_days", count_days, cron="*/5 * * * *"),)
