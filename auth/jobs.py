"""The background jobs of accounts."""

from auth.assembly import Auth
from auth.mail.letters import SEND_LETTER
from auth.purge_api_keys import purge_api_keys
from auth.purge_events import purge_events
from auth.purge_sessions import purge_sessions
from auth.second_factor.purge import purge_second_factors
from database.jobs import Job, in_transaction


def auth_jobs(auth: Auth) -> tuple[Job, ...]:
    return (
        Job(SEND_LETTER, auth.letters.send),
        Job("purge_sessions", in_transaction(purge_sessions, auth.clock), cron="37 3 * * *"),
        Job("purge_api_keys", in_transaction(purge_api_keys, auth.clock), cron="47 3 * * *"),
        Job("purge_second_factors", in_transaction(purge_second_factors, auth.clock), cron="41 * * * *"),
        Job("purge_events", in_transaction(purge_events, auth.clock), cron="47 * * * *"),
    )
