"""What a subscription is in, in one vocabulary for every provider."""

from enum import StrEnum


class Provider(StrEnum):
    STRIPE = "stripe"
    APPLE = "apple"
    MANUAL = "manual"


class SubscriptionStatus(StrEnum):
    """The status of one subscription. To find out what the user has now, read `tier`."""

    ACTIVE = "active"
    TRIALING = "trialing"
    GRACE = "grace"
    """A payment failed; access goes on until `grace_end`."""
    BILLING_RETRY = "billing_retry"
    """A payment failed and there is no grace: what was paid for may be used to its end."""
    UNPAID = "unpaid"
    """Every try failed. Paying brings it back."""
    PAUSED = "paused"
    INCOMPLETE = "incomplete"
    """The first payment has not arrived yet."""
    EXPIRED = "expired"
    CANCELED = "canceled"
    REVOKED = "revoked"
    """Refunded, disputed, or no longer shared."""
    UNKNOWN = "unknown"
    """A word of the provider that we do not know: no new grant, what was granted stays to its end."""


ENDED = frozenset({SubscriptionStatus.EXPIRED, SubscriptionStatus.CANCELED, SubscriptionStatus.REVOKED})
"""Nothing is charged any more."""
