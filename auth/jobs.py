"""The background jobs of accounts."""

from functools import partial

from auth.assembly import Auth
from auth.export_data import COLLECT_EXPORT, collect_export, forget_exports
from auth.keep_apple_token import EXCHANGE_APPLE_CODE, exchange_apple_code
from auth.letters_with_codes import ANSWER_REQUEST_FOR_LETTER, answer_request_for_letter
from auth.mail.letters import SEND_LETTER
from auth.purge_accounts import purge_accounts
from auth.purge_api_keys import purge_api_keys
from auth.purge_events import purge_events
from auth.purge_one_time_codes import purge_one_time_codes
from auth.purge_sessions import purge_sessions
from auth.revoke_apple_tokens import revoke_apple_tokens
from auth.second_factor.purge import purge_second_factors
from database.jobs import Job


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
