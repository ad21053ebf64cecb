"""The background jobs of accounts."""

from auth.assembly import Auth
from auth.mail.letters import SEND_LETTER
from auth.purge_events import purge_events
from auth.purge_sessions import purge_sessions
from database.jobs import Job, in_transaction


def auth_jobs(auth: Auth) -> tuple[Job, ...]:
    return (
        Job(SEND_LETTER, auth.letters.send),
        Job("purge_sessions", in_transaction(purge_sessions, auth.clock), cron="37 3 * * *"),
        Job("purge_events", in_transaction(purge_events, auth.clock), cron="47 * * * *"),
    )
