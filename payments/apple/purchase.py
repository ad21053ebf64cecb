"""What Apple says of a purchase, in our own words: read from signed data, a receipt, or the App Store Server API."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


class AppleEnvironment(StrEnum):
    """Xcode and local testing are not here: their data carries no signature of Apple's."""

    PRODUCTION = "Production"
    SANDBOX = "Sandbox"


@dataclass(frozen=True)
class AppleTransaction:
    """One period that was paid for. `signed_at` says how new this knowledge is."""

    environment: AppleEnvironment
    original_id: str
    transaction_id: str
    product_id: str
    purchased_at: datetime
    expires_at: datetime | None
    """None for what is not a subscription."""
    signed_at: datetime
    account_token: UUID | None = None
    revoked_at: datetime | None = None
    upgraded: bool = False
    family_shared: bool = False
    free_trial: bool = False
    price_milliunits: int | None = None
    """Thousandths of the currency's main unit. A receipt of StoreKit 1 has none."""
    currency: str | None = None


@dataclass(frozen=True)
class AppleRenewal:
    """What will happen at the end of the period. Only a plain no means that it will not renew."""

    original_id: str
    signed_at: datetime
    auto_renews: bool
    next_product_id: str | None = None
    in_billing_retry: bool = False
    grace_ends_at: datetime | None = None


@dataclass(frozen=True)
class ApplePurchase:
    """A transaction, and its renewal when that is known: devices do not send it."""

    transaction: AppleTransaction
    renewal: AppleRenewal | None = None


@dataclass(frozen=True)
class AppleNotification:
    """`known` is false for a type that this version of Apple's library has not heard of."""

    notification_id: str
    kind: str
    environment: AppleEnvironment
    signed_at: datetime
    known: bool
    purchase: ApplePurchase | None


def moment(milliseconds: int) -> datetime:
    """Apple's unit of time is milliseconds since 1970."""
    return EPOCH + milliseconds * MILLISECOND


def milliseconds(at: datetime) -> int:
    return (at - EPOCH) // MILLISECOND
