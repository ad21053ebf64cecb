"""The pages about what runs behind the API: jobs, e-mails and webhooks."""

from functools import partial

from admin.emails.routes import email_pages
from admin.jobs.routes import job_pages
from admin.webhooks.routes import webhook_pages
from auth.assembly import Auth
from auth.page_sessions.pages import Subject
from database.jobs.declare import Jobs
from payments.inbox.inbox import EventInbox


def operations_pages(auth: Auth, jobs: Jobs, inbox: EventInbox, database_url: str) -> tuple[Subject, ...]:
    return (
        Subject("jobs", "Jobs", partial(job_pages, auth, jobs, database_url)),
        Subject("emails", "E-mails", partial(email_pages, auth)),
        Subject("webhooks", "Webhooks", partial(webhook_pages, inbox)),
    )
