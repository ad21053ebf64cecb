"""What every part of payments works with."""

from dataclasses import dataclass
from datetime import timedelta

from auth.mail.messages import Mailer
from database.base import Clock, utc_now
from payments.subscriptions.grant_tier import Announce


@dataclass(frozen=True)
class BillingRules:
    """`grace`: how long access goes on after a payment failed, where the provider does not say so itself.
    `announce` is called after each commit that changed a user's tier.
    """

    announce: Announce
    grace: timedelta = timedelta(days=7)
    clock: Clock = utc_now


@dataclass(frozen=True)
class PeriodRules:
    """How what calls cost is billed.

    `max_open_cents`: what an account may owe; None for no limit. `due`: how long after its closing a statement may be paid.
    `overdue_blocks`: whether calls that cost money stop while one is overdue. `pay_url`: where a person pays.
    """

    mailer: Mailer
    pay_url: str
    max_open_cents: int | None = 2_000
    due: timedelta = timedelta(days=14)
    overdue_blocks: bool = True
    currency: str = "usd"
    clock: Clock = utc_now
