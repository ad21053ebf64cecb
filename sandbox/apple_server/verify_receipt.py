"""POST /verifyReceipt, the deprecated way to check a receipt: HTTP 200 always, the verdict in `status`.

Shapes: developer.apple.com/documentation/appstorereceipts/responsebody. Every number is a string, and
`latest_receipt_info` is not sorted. The `…_pst` twins of the dates are left out.
"""

import hmac
import json
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock

from sandbox.apple_server.app_store import AppStore
from sandbox.apple_server.certificate_chain import CertificateChain
from sandbox.apple_server.legacy_receipts import make_receipt
from sandbox.apple_server.sold_app import App, Environment
from sandbox.apple_server.subscriptions import Ownership, Subscription, Transaction
from sandbox.http_listener import Reply, Request
from sandbox.store_clock import StoreClock, milliseconds

NOT_A_POST, MALFORMED, NOT_AUTHENTIC, WRONG_SECRET = 21_000, 21_002, 21_003, 21_004
SANDBOX_RECEIPT_AT_PRODUCTION, PRODUCTION_RECEIPT_AT_SANDBOX = 21_007, 21_008


@dataclass(frozen=True)
class IssuedReceipt:
    environment: Environment
    customer: str
    transactions: tuple[Transaction, ...]
    made_at: datetime


@dataclass
class IssuedReceipts:
    """Every receipt that either environment made: a receipt that is not here is not authentic."""

    receipts: dict[str, IssuedReceipt] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def find(self, receipt: str) -> IssuedReceipt | None:
        with self.lock:
            return self.receipts.get(receipt)

    def keep(self, receipt: str, issued: IssuedReceipt) -> None:
        with self.lock:
            self.receipts[receipt] = issued


@dataclass(frozen=True)
class ReceiptVerifier:
    app: App
    environment: Environment
    chain: CertificateChain
    store: AppStore
    clock: StoreClock
    issued: IssuedReceipts

    def receipt_for(self, customer: str) -> str:
        """What the customer's device would send to our server now."""
        with self.store.lock:
            transactions = tuple(transactions_of(self.store.bought_by(customer)))
        now = self.clock()
        receipt = make_receipt(self.app, self.chain, transactions, now)
        self.issued.keep(receipt, IssuedReceipt(self.environment, customer, transactions, now))
        return receipt

    def answer(self, request: Request) -> Reply:
        if request.method != "POST":
            return self._refuse(NOT_A_POST)
        try:
            body = json.loads(request.body)
            receipt = body["receipt-data"]
            b64decode(receipt, validate=True)
        except (ValueError, KeyError, TypeError, NotBase64):
            return self._refuse(MALFORMED)
        if not receipt:
            return self._refuse(MALFORMED)
        issued = self.issued.find(receipt)
        if issued is None or "password" not in body:
            return self._refuse(NOT_AUTHENTIC)
        if issued.environment is not self.environment:
            at_production = self.environment is Environment.PRODUCTION
            return self._refuse(SANDBOX_RECEIPT_AT_PRODUCTION if at_production else PRODUCTION_RECEIPT_AT_SANDBOX)
        if not hmac.compare_digest(str(body["password"]).encode(), self.app.shared_secret.encode()):
            return self._refuse(WRONG_SECRET)
        return Reply(200, self._describe(issued, receipt, latest_only=body.get("exclude-old-transactions") is True))

    def _refuse(self, status: int) -> Reply:
        """With the environment beside it, as Apple sometimes sends: only `status` may be compared."""
        return Reply(200, {"status": status, "environment": self.environment.value})

    def _describe(self, issued: IssuedReceipt, receipt: str, *, latest_only: bool) -> dict[str, object]:
        with self.store.lock:
            subscriptions = self.store.bought_by(issued.customer)
            transactions = [known.latest for known in subscriptions] if latest_only else transactions_of(subscriptions)
            return {
                "status": 0,
                "environment": self.environment.value,
                "receipt": self._receipt(issued),
                "latest_receipt": receipt,
                "latest_receipt_info": [describe_transaction(transaction) for transaction in unsorted(transactions)],
                "pending_renewal_info": [describe_renewal(known) for known in subscriptions],
            }

    def _receipt(self, issued: IssuedReceipt) -> dict[str, object]:
        in_production = self.environment is Environment.PRODUCTION
        return {
            "receipt_type": "Production" if in_production else "ProductionSandbox",
            "adam_id": self.app.app_apple_id if in_production else 0,
            "app_item_id": self.app.app_apple_id if in_production else 0,
            "bundle_id": self.app.bundle_id,
            "application_version": "1",
            "original_application_version": "1.0",
            **times("receipt_creation", issued.made_at),
            **times("request", self.clock()),
            "in_app": [describe_transaction(transaction) for transaction in issued.transactions],
        }


def describe_transaction(transaction: Transaction) -> dict[str, str]:
    fields = {
        "quantity": "1",
        "product_id": transaction.product.product_id,
        "transaction_id": transaction.transaction_id,
        "original_transaction_id": transaction.original_transaction_id,
        **times("purchase", transaction.purchased_at),
        **times("original_purchase", transaction.original_purchased_at),
        **times("expires", transaction.expires_at),
        "web_order_line_item_id": transaction.web_order_line_item_id,
        "is_trial_period": "true" if transaction.free_trial else "false",
        "is_in_intro_offer_period": "false",
        "in_app_ownership_type": transaction.ownership.value,
        "subscription_group_identifier": transaction.product.group,
    }
    if transaction.account_token and transaction.ownership is Ownership.PURCHASED:
        fields["app_account_token"] = str(transaction.account_token)
    if transaction.upgraded_at:
        # An upgrade looks like a refund here unless `is_upgraded` is read as well.
        fields |= times("cancellation", transaction.upgraded_at) | {"is_upgraded": "true", "cancellation_reason": "0"}
    if transaction.revocation:
        fields |= times("cancellation", transaction.revocation.at)
        fields["cancellation_reason"] = str(transaction.revocation.reason)
    return fields


def describe_renewal(subscription: Subscription) -> dict[str, str]:
    fields = {
        "original_transaction_id": subscription.original_transaction_id,
        "product_id": subscription.latest.product.product_id,
        "auto_renew_product_id": subscription.next_product.product_id,
        "auto_renew_status": str(int(subscription.auto_renews)),
    }
    if subscription.agrees_to_price is not None:
        fields["price_consent_status"] = fields["price_increase_status"] = str(int(subscription.agrees_to_price))
    if subscription.expiration_intent and (subscription.ended or subscription.in_billing_retry):
        fields["expiration_intent"] = str(int(subscription.expiration_intent))
        fields["is_in_billing_retry_period"] = str(int(subscription.in_billing_retry))
    if subscription.grace_ends_at:
        fields |= times("grace_period_expires", subscription.grace_ends_at)
    return fields


def times(name: str, moment: datetime) -> dict[str, str]:
    """A date twice: in words, and in milliseconds as a string."""
    return {
        f"{name}_date": moment.strftime("%Y-%m-%d %H:%M:%S Etc/GMT"),
        f"{name}_date_ms": str(milliseconds(moment)),
    }


def transactions_of(subscriptions: Iterable[Subscription]) -> list[Transaction]:
    return [transaction for known in subscriptions for transaction in known.transactions]


def unsorted(transactions: list[Transaction]) -> list[Transaction]:
    """The same, in an order that has no meaning: neither the first nor the last is the newest, from three on."""
    middle = len(transactions) // 2
    newest, others = transactions[-1:], transactions[:-1]
    return others[:middle] + newest + others[middle:]
