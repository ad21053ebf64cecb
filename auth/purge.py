"""Jobs that delete rows by age, so that no table of accounts grows for ever. Accounts have a job of their own (accounts/purge.py)."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import SQLColumnExpression, func, select

from auth.audit.models import SecurityEvent
from auth.email_codes.models import OneTimeCode
from auth.exports.models import DataExport
from auth.mail.models import DeadEmail
from auth.models import ApiKey, AuthSession
from auth.second_factor.models import PasskeyChallenge, SignInChallenge, WrongSecondFactor
from auth.second_factor.prove import HOUR
from database.base import Clock
from database.batch import purge

AT_ONCE = timedelta()
HOURLY, NIGHTLY = "47 * * * *", "47 3 * * *"


@dataclass(frozen=True)
class Purge:
    """Deletes the rows, named by `key`, whose time `over` came longer ago than `keep`."""

    job: str
    cron: str
    key: SQLColumnExpression[Any]
    over: SQLColumnExpression[Any]
    keep: timedelta

    def run(self, clock: Clock) -> int:
        """Returns how many were deleted."""
        return purge(self.job, select(self.key).where(self.over < clock() - self.keep))


SESSION_OVER = func.least(AuthSession.expires_at, AuthSession.idle_expires_at, AuthSession.revoked_at)
API_KEY_OVER = func.least(ApiKey.expires_at, ApiKey.revoked_at)
PURGES = {
    each.job: each
    for each in (
        # Until then they show a reused refresh token for what it is, and the owner of an API key still sees it.
        Purge("purge_sessions", NIGHTLY, AuthSession.id, SESSION_OVER, timedelta(days=30)),
        Purge("purge_api_keys", NIGHTLY, ApiKey.id, API_KEY_OVER, timedelta(days=30)),
        Purge("purge_one_time_codes", NIGHTLY, OneTimeCode.id, OneTimeCode.link_expires_at, timedelta(days=1)),
        Purge("purge_security_events", HOURLY, SecurityEvent.id, SecurityEvent.occurred_at, timedelta(days=400)),
        Purge("purge_exports", HOURLY, DataExport.id, DataExport.expires_at, AT_ONCE),
        Purge("purge_dead_emails", NIGHTLY, DeadEmail.id, DeadEmail.failed_at, timedelta(days=30)),
        Purge("purge_passkey_challenges", HOURLY, PasskeyChallenge.challenge, PasskeyChallenge.expires_at, AT_ONCE),
        Purge("purge_sign_in_challenges", HOURLY, SignInChallenge.id, SignInChallenge.expires_at, AT_ONCE),
        Purge("purge_wrong_second_factors", HOURLY, WrongSecondFactor.id, WrongSecondFactor.tried_at, HOUR),
    )
}
