"""The three payloads that Apple signs: a transaction, renewal information, a notification.

Source of the fields: developer.apple.com/documentation/appstoreserverapi/jwstransactiondecodedpayload,
…/jwsrenewalinfodecodedpayload and …/appstoreservernotifications/responsebodyv2decodedpayload. A field without
a value is left out, as Apple does.
"""

from dataclasses import dataclass
from hashlib import sha256
from uuid import uuid4

from sandbox.apple_server.certificate_chain import CertificateChain
from sandbox.apple_server.sold_app import App, Environment
from sandbox.apple_server.subscriptions import Subscription, Transaction
from sandbox.store_clock import StoreClock, milliseconds

Payload = dict[str, object]


@dataclass(frozen=True)
class PayloadSigner:
    app: App
    environment: Environment
    chain: CertificateChain
    clock: StoreClock

    def transaction(self, transaction: Transaction) -> str:
        return self.chain.sign(self.transaction_payload(transaction))

    def renewal_info(self, subscription: Subscription) -> str:
        return self.chain.sign(self.renewal_payload(subscription))

    def transaction_payload(self, transaction: Transaction) -> Payload:
        product, revocation = transaction.product, transaction.revocation
        return present(
            {
                "transactionId": transaction.transaction_id,
                "originalTransactionId": transaction.original_transaction_id,
                "webOrderLineItemId": transaction.web_order_line_item_id,
                "bundleId": self.app.bundle_id,
                "productId": product.product_id,
                "subscriptionGroupIdentifier": product.group,
                "purchaseDate": milliseconds(transaction.purchased_at),
                "originalPurchaseDate": milliseconds(transaction.original_purchased_at),
                "expiresDate": milliseconds(transaction.expires_at),
                "quantity": 1,
                "type": "Auto-Renewable Subscription",
                "appAccountToken": str(transaction.account_token) if transaction.account_token else None,
                "inAppOwnershipType": transaction.ownership.value,
                "signedDate": self.clock.signing_time(),
                "revocationReason": revocation.reason if revocation else None,
                "revocationDate": milliseconds(revocation.at) if revocation else None,
                "revocationType": revocation.kind if revocation else None,
                "revocationPercentage": revocation.percentage if revocation else None,
                "isUpgraded": True if transaction.upgraded_at else None,
                "offerType": 1 if transaction.free_trial else None,
                "offerDiscountType": "FREE_TRIAL" if transaction.free_trial else None,
                "environment": self.environment.value,
                "storefront": "USA",
                "storefrontId": "143441",
                "transactionReason": "RENEWAL" if transaction.renewal else "PURCHASE",
                "currency": product.currency,
                "price": 0 if transaction.free_trial else product.price,
                "appTransactionId": app_transaction_id(transaction.customer),
            }
        )

    def renewal_payload(self, subscription: Subscription) -> Payload:
        """In a grace period `isInBillingRetryPeriod` is false: Apple has been seen to send both (forum thread 749813)."""
        latest, next_product = subscription.latest, subscription.next_product
        grace_ends_at = subscription.grace_ends_at
        renews = subscription.auto_renews and not subscription.ended
        return present(
            {
                "originalTransactionId": subscription.original_transaction_id,
                "autoRenewProductId": next_product.product_id,
                "productId": latest.product.product_id,
                "autoRenewStatus": int(subscription.auto_renews),
                "isInBillingRetryPeriod": subscription.in_billing_retry and grace_ends_at is None,
                "expirationIntent": subscription.expiration_intent,
                "priceIncreaseStatus": (
                    None if subscription.agrees_to_price is None else int(subscription.agrees_to_price)
                ),
                "gracePeriodExpiresDate": milliseconds(grace_ends_at) if grace_ends_at else None,
                "signedDate": self.clock.signing_time(),
                "environment": self.environment.value,
                "recentSubscriptionStartDate": milliseconds(subscription.started_at),
                "renewalDate": milliseconds(latest.expires_at) if renews else None,
                "currency": next_product.currency if renews else None,
                "renewalPrice": next_product.price if renews else None,
                "appAccountToken": str(subscription.account_token) if subscription.account_token else None,
                "appTransactionId": app_transaction_id(subscription.customer),
            }
        )

    def notification_payload(
        self,
        kind: str,
        subtype: str | None = None,
        *,
        subscription: Subscription | None = None,
        transaction: Transaction | None = None,
    ) -> Payload:
        """Version 2. The transaction is the subscription's latest one, unless the news is about an older one."""
        data: Payload = {
            "appAppleId": self.app.app_apple_id if self.environment is Environment.PRODUCTION else None,
            "bundleId": self.app.bundle_id,
            "bundleVersion": "1",
            "environment": self.environment.value,
        }
        if subscription:
            data["status"] = subscription.status()
            data["signedTransactionInfo"] = self.transaction(transaction or subscription.latest)
            data["signedRenewalInfo"] = self.renewal_info(subscription)
        return present(
            {
                "notificationType": kind,
                "subtype": subtype,
                "notificationUUID": str(uuid4()),
                "data": present(data),
                "version": "2.0",
                "signedDate": self.clock.signing_time(),
            }
        )


def app_transaction_id(customer: str) -> str:
    """One number for each customer of the app, whatever they buy."""
    return "70" + str(int.from_bytes(sha256(customer.encode()).digest()[:6], "big")).rjust(15, "0")


def present(fields: Payload) -> Payload:
    return {name: value for name, value in fields.items() if value is not None}
