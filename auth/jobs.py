"""The background jobs of accounts."""

from functools import partial

from auth.assembly import Auth
from auth.export_data import COLLECT_EXPORT, collect_export, forget_exports
from auth.mail.letters import SEND_LETTER
from auth.purge_accounts import purge_accounts
from auth.purge_sessions import purge_sessions
from database.jobs import Job, in_transaction


def auth_jobs(auth: Auth) -> tuple[Job, ...]:
    return (
        Job(SEND_LETTER, auth.letters.send),
        Job("purge_sessions", in_transaction(purge_sessions, auth.clock), cron="37 3 * * *"),
        Job(COLLECT_EXPORT, partial(collect_export, auth)),
        Job("forget_exports", in_transaction(forget_exports, auth.clock), cron="27 * * * *"),
        Job("purge_accounts", partial(purge_accounts, auth), cron="47 * * * *"),
    )
