"""The background jobs of accounts."""

from functools import partial

from auth.assembly import Auth
from auth.letters_with_codes import ANSWER_REQUEST_FOR_LETTER, answer_request_for_letter
from auth.mail.letters import SEND_LETTER
from auth.purge_one_time_codes import purge_one_time_codes
from auth.purge_sessions import purge_sessions
from database.jobs import Job, in_transaction


def auth_jobs(auth: Auth) -> tuple[Job, ...]:
    return (
        Job(SEND_LETTER, auth.letters.send),
        Job(ANSWER_REQUEST_FOR_LETTER, partial(answer_request_for_letter, auth)),
        Job("purge_sessions", in_transaction(purge_sessions, auth.clock), cron="37 3 * * *"),
        Job("purge_one_time_codes", in_transaction(purge_one_time_codes, auth.clock), cron="47 3 * * *"),
    )
