"""The background jobs of accounts."""

from functools import partial

from auth.accounts.purge import purge_accounts
from auth.api_keys.purge import purge_api_keys
from auth.apple_tokens.revoke import revoke_apple_tokens
from auth.assembly import Auth
from auth.audit.purge import purge_events
from auth.email_codes.purge import purge_one_time_codes
from auth.email_codes.send import ANSWER_REQUEST_FOR_LETTER, answer_request_for_letter
from auth.exports.export import COLLECT_EXPORT, collect_export, forget_exports
from auth.identity_providers.keep_apple_token import EXCHANGE_APPLE_CODE, exchange_apple_code
from auth.mail.messages import SEND_LETTER
from auth.second_factor.purge import purge_second_factors
from auth.sessions.purge import purge_sessions
from database.jobs.declare import Job


def auth_jobs(auth: Auth) -> tuple[Job, ...]:
    return (
        Job(SEND_LETTER, auth.letters.send, personal=True),
        Job(ANSWER_REQUEST_FOR_LETTER, partial(answer_request_for_letter, auth), personal=True),
        Job(EXCHANGE_APPLE_CODE, partial(exchange_apple_code, auth), personal=True),
        Job("revoke_apple_tokens", partial(revoke_apple_tokens, auth), cron="* * * * *"),
        Job("purge_sessions", partial(purge_sessions, auth.clock), cron="37 3 * * *"),
        Job("purge_api_keys", partial(purge_api_keys, auth.clock), cron="47 3 * * *"),
        Job("purge_second_factors", partial(purge_second_factors, auth.clock), cron="41 * * * *"),
        Job("purge_events", partial(purge_events, auth.clock), cron="47 * * * *"),
        Job(COLLECT_EXPORT, partial(collect_export, auth)),
        Job("forget_exports", partial(forget_exports, auth.clock), cron="27 * * * *"),
        Job("purge_accounts", partial(purge_accounts, auth), cron="47 * * * *"),
        Job("purge_one_time_codes", partial(purge_one_time_codes, auth.clock), cron="47 3 * * *"),
    )
