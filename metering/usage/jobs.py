"""The background jobs of usage."""

from functools import partial

from auth.assembly import Auth
from database.jobs.declare import Job
from metering.usage.send_budget_emails import send_budget_emails


def usage_jobs(auth: Auth) -> tuple[Job, ...]:
    return (Job("send_budget_emails", partial(send_budget_emails, auth), cron="*/5 * * * *"),)
