"""What every part of payments works with."""

from dataclasses import dataclass
from datetime import timedelta

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
