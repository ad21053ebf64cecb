"""What the parts that deal with Apple work with."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from auth.models import User
from database import transaction
from payments.apple.facts import fact_of, shortened_for_sandbox
from payments.apple.legacy_receipts import VERIFY_RECEIPT_URLS, LegacyReceipts
from payments.apple.purchase import AppleEnvironment, ApplePurchase
from payments.apple_validator import AppleApiKey, AppleServerApi, AppleSignatures
from payments.billing.counts import count
from payments.billing.rules import BillingRules
from payments.product_table import ProductTable
from payments.subscriptions.record import Recorded, record_subscription
from security.logs.log import security_event


@dataclass(frozen=True)
class SandboxPolicy:
    """Whose sandbox purchases count. App Review buys in the sandbox on production servers, so they cannot all be refused.

    `everybody` is for servers that are not production. `accounts` are keys of e-mail addresses.
    """

    everybody: bool
    accounts: Set[str] = frozenset()

    def admits(self, session: Session, environment: AppleEnvironment, user_id: UUID | None) -> bool:
        if environment is not AppleEnvironment.SANDBOX or self.everybody:
            return True
        if user_id is None or not self.accounts:
            return False
        query = select(exists().where(User.id == user_id, User.email_key.in_(self.accounts)))
        return bool(session.execute(query).scalar_one())


@dataclass(frozen=True)
class Apple:
    """`receipts` is None without a shared secret, `api` without an App Store Server API key."""

    rules: BillingRules
    products: ProductTable
    signatures: AppleSignatures
    sandbox: SandboxPolicy
    online_checks: bool
    receipts: LegacyReceipts | None = None
    api: AppleServerApi | None = None

    @classmethod
    def of_app(
        cls,
        rules: BillingRules,
        *,
        bundle_id: str,
        app_id: int,
        products: ProductTable,
        sandbox: SandboxPolicy,
        online_checks: bool,
        shared_secret: str | None,
        api_key: AppleApiKey | None,
        root_certificate: bytes | None,
        urls: Mapping[AppleEnvironment, str],
    ) -> "Apple":
        """`root_certificate` and `urls` take the place of Apple's."""
        signatures = AppleSignatures(
            bundle_id=bundle_id,
            app_apple_id=app_id,
            root_certificate=root_certificate,
            online_checks=online_checks,
        )
        receipt_urls = {environment: f"{url}/verifyReceipt" for environment, url in urls.items()}
        return cls(
            rules=rules,
            products=products,
            signatures=signatures,
            sandbox=sandbox,
            online_checks=online_checks,
            receipts=(
                LegacyReceipts(bundle_id, shared_secret, VERIFY_RECEIPT_URLS | receipt_urls) if shared_secret else None
            ),
            api=AppleServerApi(api_key, bundle_id, signatures, urls) if api_key else None,
        )

    def record(
        self, session: Session, purchase: ApplePurchase, *, owner: UUID | None, proven: bool, now: datetime
    ) -> Recorded | None:
        """Write down what Apple says, under the owner's lock. None for a product that is not ours."""
        fact = fact_of(purchase, self.products, now)
        if not self.sandbox.everybody:
            fact = shortened_for_sandbox(fact, now)
        return record_subscription(session, fact, owner=owner, owner_is_proven=proven, grace=self.rules.grace, now=now)

    def count(self, name: str) -> None:
        """In a transaction of its own, for what leaves nothing else behind."""
        with transaction() as session:
            count(session, name, self.rules.clock())

    def refused_forgery(self, where: str, reason: str) -> None:
        """Counted and logged, and kept nowhere: whoever forges must not fill our tables."""
        self.count("apple_forgery")
        security_event("apple_forgery_refused", where=where, reason=reason)

    def refuses_us(self, what: str) -> None:
        """Nobody can subscribe until an operator has put in the right key."""
        self.count("apple_refuses_us")
        structlog.get_logger().error("apple_refuses_us", what=what)
