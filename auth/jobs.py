"""The background jobs of accounts."""

from functools import partial
from typing import Any

from auth.accounts.purge import purge_accounts
from auth.apple_tokens.revoke import revoke_apple_tokens
from auth.assembly import Auth
from auth.email_codes.send import SEND_REQUESTED_EMAIL, send_requested_email
from auth.exports.export import COLLECT_EXPORT, collect_export
from auth.identity_providers.keep_apple_token import EXCHANGE_APPLE_CODE, exchange_apple_code
from auth.mail.keep_dead import keep_dead_email
from auth.mail.messages import SEND_EMAIL
from auth.mail.send_again import SEND_DEAD_EMAILS, send_dead_emails
from auth.purge import PURGES
from database.jobs.declare import Job


def auth_jobs(auth: Auth) -> tuple[Job, ...]:
    return (
        Job(SEND_EMAIL, auth.mailer.send, personal=True, when_failed=partial(keep_failed, auth)),
        Job(SEND_DEAD_EMAILS, send_dead_emails),
        Job(SEND_REQUESTED_EMAIL, partial(send_requested_email, auth), personal=True),
        Job(EXCHANGE_APPLE_CODE, partial(exchange_apple_code, auth), personal=True),
        Job("revoke_apple_tokens", partial(revoke_apple_tokens, auth), cron="* * * * *"),
        Job(COLLECT_EXPORT, partial(collect_export, auth)),
        Job("purge_accounts", partial(purge_accounts, auth), cron="47 * * * *"),
        *(Job(name, partial(each.run, auth.clock), cron=each.cron) for name, each in PURGES.items()),
    )


def keep_failed(auth: Auth, job_id: int, error: Exception, **email: Any) -> None:
    keep_dead_email(error, auth.clock(), job_id=job_id, **email)
