"""What the App Store knows of a purchase: transactions, and the subscription that a row of them makes."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from uuid import UUID

from sandbox.apple_server.products import Product


class Ownership(StrEnum):
    PURCHASED = "PURCHASED"
    FAMILY_SHARED = "FAMILY_SHARED"


class Status(IntEnum):
    """The five states that Get All Subscription Statuses reports."""

    ACTIVE = 1
    EXPIRED = 2
    BILLING_RETRY = 3
    GRACE_PERIOD = 4
    REVOKED = 5


class ExpirationIntent(IntEnum):
    """Why a subscription will end or has ended."""

    CUSTOMER_CANCELLED = 1
    BILLING_ERROR = 2
    PRICE_INCREASE_REFUSED = 3


@dataclass(frozen=True)
class Revocation:
    """`percentage` is in milliunits and only there for a part of the price; `reason` 1 is a fault of the app."""

    at: datetime
    kind: str
    reason: int = 0
    percentage: int | None = None


@dataclass
class Transaction:
    """One charged period."""

    transaction_id: str
    original_transaction_id: str
    web_order_line_item_id: str
    customer: str
    product: Product
    purchased_at: datetime
    original_purchased_at: datetime
    expires_at: datetime
    modified_at: datetime
    account_token: UUID | None = None
    ownership: Ownership = Ownership.PURCHASED
    renewal: bool = False
    free_trial: bool = False
    upgraded_at: datetime | None = None
    revocation: Revocation | None = None


@dataclass(frozen=True)
class PurchaseRequest:
    """A child's wish to buy, which waits for a parent (Ask to Buy). Our server is not told of it."""

    request_id: str
    customer: str
    product_id: str
    account_token: UUID | None
    made_at: datetime


@dataclass
class Subscription:
    """All periods that one customer had in one subscription group, under the first one's transaction id."""

    original_transaction_id: str
    customer: str
    started_at: datetime
    next_product: Product
    transactions: list[Transaction] = field(default_factory=list)
    account_token: UUID | None = None
    auto_renews: bool = True
    card_works: bool = True
    in_billing_retry: bool = False
    grace_ends_at: datetime | None = None
    expiration_intent: ExpirationIntent | None = None
    agrees_to_price: bool | None = None
    """To a price increase that needs consent. None: there is none."""
    ended: bool = False
    shared_by: str | None = None
    """The original transaction id of the family member who pays."""

    @property
    def latest(self) -> Transaction:
        return self.transactions[-1]

    @property
    def renews(self) -> bool:
        """Whether time alone will do something to it. A family member's moves with the one who pays."""
        return not (self.ended or self.latest.revocation or self.shared_by)

    def status(self) -> Status:
        """What the App Store has noticed so far; the clock has been settled before anybody asks."""
        if self.latest.revocation:
            return Status.REVOKED
        if self.ended:
            return Status.EXPIRED
        if self.grace_ends_at:
            return Status.GRACE_PERIOD
        return Status.BILLING_RETRY if self.in_billing_retry else Status.ACTIVE
