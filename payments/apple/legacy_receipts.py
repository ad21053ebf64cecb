"""Receipts of StoreKit 1, checked by Apple's verifyReceipt: production first, the sandbox when it says so.

Apple marks verifyReceipt as deprecated and names no date for its end (developer.apple.com/documentation/appstorereceipts). The
number in `status` is the verdict; the HTTP status is 200 whatever it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import requests

from payments.apple.purchase import (
    AppleEnvironment,
    ApplePurchase,
    AppleRenewal,
    AppleTransaction,
    moment,
)
from payments.apple_validator import TIMEOUT, AppleRefusesUs, AppleUnavailable, account_token

VERIFY_RECEIPT_URLS: Final = {
    AppleEnvironment.PRODUCTION: "https://buy.itunes.apple.com/verifyReceipt",
    AppleEnvironment.SANDBOX: "https://sandbox.itunes.apple.com/verifyReceipt",
}

VALID, MALFORMED, WRONG_SECRET, BELONGS_TO_SANDBOX = 0, 21002, 21004, 21007
TRY_LATER: Final = frozenset({21005, 21009, *range(21100, 21200)})


class ReceiptRefused(Exception):
    """Apple says that this is no receipt of this app."""


@dataclass(frozen=True)
class LegacyReceipts:
    bundle_id: str
    shared_secret: str
    urls: Mapping[AppleEnvironment, str]

    def check(self, receipt: str) -> tuple[ApplePurchase, ...]:
        """The latest period of each subscription. Raises ReceiptRefused, AppleUnavailable, AppleRefusesUs."""
        environment = AppleEnvironment.PRODUCTION
        answer = self._ask(environment, receipt)
        if answer["status"] == BELONGS_TO_SANDBOX:
            environment = AppleEnvironment.SANDBOX
            answer = self._ask(environment, receipt)
        status = answer["status"]
        if status == WRONG_SECRET:
            raise AppleRefusesUs("verifyReceipt: the shared secret")
        if status in TRY_LATER:
            raise AppleUnavailable(f"verifyReceipt: {status}")
        if status != VALID:
            raise ReceiptRefused(str(status))
        return self._purchases(answer, environment)

    def _ask(self, environment: AppleEnvironment, receipt: str) -> Mapping[str, Any]:
        """21002 means malformed, and sometimes that Apple stumbled, so it is asked once more."""
        answer = self._post(environment, receipt)
        return self._post(environment, receipt) if answer["status"] == MALFORMED else answer

    def _post(self, environment: AppleEnvironment, receipt: str) -> Mapping[str, Any]:
        body = {"receipt-data": receipt, "password": self.shared_secret, "exclude-old-transactions": True}
        try:
            response = requests.post(self.urls[environment], json=body, timeout=TIMEOUT, allow_redirects=False)
            answer = response.json() if response.status_code == 200 else None
        except (requests.RequestException, ValueError) as error:
            raise AppleUnavailable(f"verifyReceipt: {type(error).__name__}") from None
        if not isinstance(answer, dict) or not isinstance(answer.get("status"), int):
            raise AppleUnavailable(f"verifyReceipt: HTTP {response.status_code}")
        return answer

    def _purchases(self, answer: Mapping[str, Any], environment: AppleEnvironment) -> tuple[ApplePurchase, ...]:
        """`latest_receipt_info` is in no order, so the newest of each subscription is looked for."""
        try:
            receipt = answer["receipt"]
            if receipt["bundle_id"] != self.bundle_id:
                raise ReceiptRefused("another app")
            asked_at = moment(int(receipt["request_date_ms"]))
            renewals = {each["original_transaction_id"]: each for each in answer.get("pending_renewal_info", ())}
            newest: dict[str, AppleTransaction] = {}
            for fields in answer.get("latest_receipt_info", ()):
                transaction = read_transaction(fields, environment, asked_at)
                known = newest.get(transaction.original_id)
                if known is None or transaction.purchased_at >= known.purchased_at:
                    newest[transaction.original_id] = transaction
            return tuple(
                ApplePurchase(transaction, read_renewal(renewals.get(original_id), transaction))
                for original_id, transaction in newest.items()
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AppleUnavailable(f"verifyReceipt: unreadable, {type(error).__name__}") from None


def read_transaction(fields: Mapping[str, Any], environment: AppleEnvironment, asked_at: datetime) -> AppleTransaction:
    """An upgrade carries a cancellation date too; only `is_upgraded` tells it from a refund."""
    upgraded = fields.get("is_upgraded") == "true"
    cancelled = optional_moment(fields.get("cancellation_date_ms"))
    return AppleTransaction(
        environment=environment,
        original_id=fields["original_transaction_id"],
        transaction_id=fields["transaction_id"],
        product_id=fields["product_id"],
        purchased_at=moment(int(fields["purchase_date_ms"])),
        expires_at=optional_moment(fields.get("expires_date_ms")),
        signed_at=asked_at,
        account_token=account_token(fields.get("app_account_token")),
        revoked_at=None if upgraded else cancelled,
        upgraded=upgraded,
        family_shared=fields.get("in_app_ownership_type") == "FAMILY_SHARED",
        free_trial=fields.get("is_trial_period") == "true",
    )


def read_renewal(fields: Mapping[str, Any] | None, transaction: AppleTransaction) -> AppleRenewal | None:
    if fields is None:
        return None
    return AppleRenewal(
        original_id=transaction.original_id,
        signed_at=transaction.signed_at,
        auto_renews=fields.get("auto_renew_status") != "0",
        next_product_id=fields.get("auto_renew_product_id"),
        in_billing_retry=fields.get("is_in_billing_retry_period") == "1",
        grace_ends_at=optional_moment(fields.get("grace_period_expires_date_ms")),
    )


def optional_moment(text: str | None) -> datetime | None:
    """Milliseconds come as text here."""
    return None if text is None else moment(int(text))
