"""The App Store's books for one environment, and everything that a customer can do in it.

Each action that Apple would tell our server about puts a signed notification into the outbox.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from threading import RLock
from uuid import UUID

from sandbox.apple_server.notification_outbox import Notification, NotificationOutbox
from sandbox.apple_server.products import Product
from sandbox.apple_server.signed_payloads import PayloadSigner
from sandbox.apple_server.sold_app import Environment
from sandbox.apple_server.subscriptions import (
    ExpirationIntent,
    Ownership,
    PurchaseRequest,
    Revocation,
    Subscription,
    Transaction,
)
from sandbox.store_clock import StoreClock, milliseconds

FIRST_TRANSACTION_ID = {Environment.PRODUCTION: 100_001_000_000_000, Environment.SANDBOX: 2_000_000_100_000_000}


REQUESTS_LIVE = timedelta(hours=24)
"""How long a parent has to answer (support.apple.com/HT201089)."""


class NotForSale(Exception):
    """The catalogue has no product of this id."""


class AlreadySubscribed(Exception):
    """The customer has a running subscription in this group: change its product instead."""


class NoSuchTransaction(Exception):
    """No purchase of this environment has this id."""


class NotPossible(Exception):
    """The subscription is not in a state where the customer could do this."""


class AppStore:
    """`grace_period` is the app's setting in App Store Connect; None is off, as it is at first."""

    def __init__(
        self, signer: PayloadSigner, outbox: NotificationOutbox, clock: StoreClock, products: tuple[Product, ...]
    ) -> None:
        self.lock = RLock()
        self.grace_period: timedelta | None = None
        self.subscriptions: dict[str, Subscription] = {}
        self.signer = signer
        self._outbox = outbox
        self._clock = clock
        self.requests: dict[str, PurchaseRequest] = {}
        self._products = {product.product_id: product for product in products}
        # Every start counts on from a later id: the API's database still holds what an earlier one sold.
        first_id = FIRST_TRANSACTION_ID[signer.environment] + milliseconds(clock())
        self._transaction_ids, self._line_items = count(first_id), count(first_id)

    def subscribe(
        self, customer: str, product_id: str, account_token: UUID | None = None, *, free_trial: bool = False
    ) -> Subscription:
        """Buy for the first time, or again after the end: that keeps the original transaction id."""
        with self.lock:
            product = self._product(product_id)
            now = self._clock()
            known = self._in_group(customer, product.group)
            if known and known.renews:
                raise AlreadySubscribed(customer)
            if known is None:
                subscription = Subscription(self._next_id(), customer, now, product, account_token=account_token)
                self.subscriptions[subscription.original_transaction_id] = subscription
                self.charge(subscription, product, now, renewal=False, free_trial=free_trial)
                self.announce(subscription, "SUBSCRIBED", "INITIAL_BUY")
                return subscription
            known.started_at, known.next_product, known.account_token = now, product, account_token
            self._start_afresh(known)
            self.charge(known, product, now, renewal=False)
            self.announce(known, "SUBSCRIBED", "RESUBSCRIBE")
            return known

    def ask_to_buy(self, customer: str, product_id: str, account_token: UUID | None = None) -> PurchaseRequest:
        """A child asks. Nothing is bought, and our server hears nothing, until a parent answers."""
        with self.lock:
            product = self._product(product_id)
            request = PurchaseRequest(self._next_id(), customer, product.product_id, account_token, self._clock())
            self.requests[request.request_id] = request
            return request

    def answer_request(self, request_id: str, *, approved: bool) -> Subscription | None:
        """The parent's answer. The purchase, if it was approved, is made now."""
        with self.lock:
            request = self.requests.pop(request_id, None)
            if request is None or self._clock() - request.made_at > REQUESTS_LIVE:
                raise NotPossible("This request was answered before, or a day has passed.")
            if not approved:
                return None
            return self.subscribe(request.customer, request.product_id, request.account_token)

    def raise_price(self, product_id: str, price: int) -> list[Subscription]:
        """In milliunits. Whoever has the product must agree before it renews, or it ends."""
        with self.lock:
            dearer = replace(self._product(product_id), price=price)
            self._products[product_id] = dearer
            asked = [
                known
                for known in self.subscriptions.values()
                if known.renews and known.next_product.product_id == product_id
            ]
            for subscription in asked:
                subscription.next_product, subscription.agrees_to_price = dearer, False
                self.announce(subscription, "PRICE_INCREASE", "PENDING")
            return asked

    def agree_to_price(self, original_transaction_id: str) -> Subscription:
        with self.lock:
            subscription = self._running(original_transaction_id)
            if subscription.agrees_to_price is None:
                raise NotPossible("The price of this subscription does not rise.")
            subscription.agrees_to_price = True
            self.announce(subscription, "PRICE_INCREASE", "ACCEPTED")
            return subscription

    def change_product(self, original_transaction_id: str, product_id: str) -> Subscription:
        """An upgrade happens at once. Any other change waits for the renewal; asking for the present product undoes it."""
        with self.lock:
            subscription, product = self._running(original_transaction_id), self._product(product_id)
            current = subscription.latest
            if product.group != current.product.group:
                raise NotForSale(product_id)
            subscription.next_product, subscription.agrees_to_price = product, None
            if product.level < current.product.level:
                current.upgraded_at = current.modified_at = self._clock()
                self.charge(subscription, product, self._clock(), renewal=False)
                self.announce(subscription, "DID_CHANGE_RENEWAL_PREF", "UPGRADE")
            else:
                unchanged = product.product_id == current.product.product_id
                self.announce(subscription, "DID_CHANGE_RENEWAL_PREF", None if unchanged else "DOWNGRADE")
            return subscription

    def set_auto_renew(self, original_transaction_id: str, renews: bool) -> Subscription:
        """The switch in the customer's account settings. What is paid for stays usable."""
        with self.lock:
            subscription = self._running(original_transaction_id)
            subscription.auto_renews = renews
            subscription.expiration_intent = None if renews else ExpirationIntent.CUSTOMER_CANCELLED
            subtype = "AUTO_RENEW_ENABLED" if renews else "AUTO_RENEW_DISABLED"
            self.announce(subscription, "DID_CHANGE_RENEWAL_STATUS", subtype)
            return subscription

    def break_card(self, original_transaction_id: str) -> None:
        """The next renewal will fail."""
        with self.lock:
            self._running(original_transaction_id).card_works = False

    def repair_card(self, original_transaction_id: str) -> None:
        """A renewal that failed goes through now. In a grace period no day is lost; after it a new period begins."""
        with self.lock:
            subscription = self._running(original_transaction_id)
            subscription.card_works = True
            if subscription.in_billing_retry:
                begins = subscription.latest.expires_at if subscription.grace_ends_at else self._clock()
                self._start_afresh(subscription)
                self.charge(subscription, subscription.next_product, begins, renewal=True)
                self.announce(subscription, "DID_RENEW", "BILLING_RECOVERY")

    def refund(self, transaction_id: str, *, percentage: int | None = None, reason: int = 0) -> Transaction:
        """Give back all of the price, or a percentage in milliunits (25_000 is a quarter), and end what it paid for."""
        kind = "REFUND_FULL" if percentage is None else "REFUND_PRORATED"
        return self._revoke(transaction_id, "REFUND", Revocation(self._clock(), kind, reason, percentage))

    def reverse_refund(self, transaction_id: str) -> Transaction:
        """The customer's dispute was lost after all: the purchase counts again."""
        with self.lock:
            transaction = self.transaction(transaction_id)
            if transaction.revocation is None:
                raise NotPossible("This transaction was not refunded.")
            transaction.revocation, transaction.modified_at = None, self._clock()
            self.announce(self.subscription_of(transaction), "REFUND_REVERSED", None, transaction)
            return transaction

    def share_with_family(self, original_transaction_id: str, member: str) -> Subscription:
        """The member gets transactions of their own, without the buyer's account token."""
        with self.lock:
            payer = self._running(original_transaction_id)
            shared = Subscription(
                self._next_id(),
                member,
                self._clock(),
                payer.next_product,
                shared_by=payer.original_transaction_id,
            )
            self.subscriptions[shared.original_transaction_id] = shared
            self.charge(shared, payer.latest.product, self._clock(), renewal=False)
            shared.latest.expires_at = payer.latest.expires_at
            self.announce(shared, "SUBSCRIBED", "INITIAL_BUY")
            return shared

    def stop_sharing(self, original_transaction_id: str) -> Transaction:
        """By the id of the member's subscription. The buyer keeps theirs."""
        shared = self.subscription(original_transaction_id)
        if shared.shared_by is None:
            raise NotPossible("This subscription was bought, not shared.")
        return self._revoke(shared.latest.transaction_id, "REVOKE", Revocation(self._clock(), "FAMILY_REVOKE"))

    def extend(self, original_transaction_id: str, days: int) -> Subscription:
        """Give days for nothing, as the app's owner may after an outage."""
        with self.lock:
            subscription = self._running(original_transaction_id)
            subscription.latest.expires_at += timedelta(days=days)
            subscription.latest.modified_at = self._clock()
            self.announce(subscription, "RENEWAL_EXTENDED")
            return subscription

    def set_account_token(self, original_transaction_id: str, account_token: UUID) -> None:
        """For a purchase that was made outside the app, where nobody could give the token."""
        with self.lock:
            subscription = self.subscription(original_transaction_id)
            subscription.account_token = account_token
            for transaction in subscription.transactions:
                transaction.account_token, transaction.modified_at = account_token, self._clock()

    def announce(
        self, subscription: Subscription, kind: str, subtype: str | None = None, about: Transaction | None = None
    ) -> Notification:
        """Sign and queue a notification. Any type goes, also one that nobody knows yet."""
        with self.lock:
            payload = self.signer.notification_payload(
                kind, subtype, subscription=subscription, transaction=about or subscription.latest
            )
            concerned = frozenset(transaction.transaction_id for transaction in subscription.transactions)
            return self._outbox.add(payload, self.signer.chain.sign(payload), concerned)

    def announce_test(self) -> Notification:
        payload = self.signer.notification_payload("TEST")
        return self._outbox.add(payload, self.signer.chain.sign(payload), frozenset())

    def charge(
        self,
        subscription: Subscription,
        product: Product,
        begins: datetime,
        *,
        renewal: bool,
        free_trial: bool = False,
    ) -> Transaction:
        """One more period. The first transaction's id is the subscription's."""
        first = not subscription.transactions
        original_id = subscription.original_transaction_id
        transaction = Transaction(
            transaction_id=original_id if first else self._next_id(),
            original_transaction_id=original_id,
            web_order_line_item_id=str(next(self._line_items)),
            customer=subscription.customer,
            product=product,
            purchased_at=begins,
            original_purchased_at=begins if first else subscription.transactions[0].purchased_at,
            expires_at=product.ends(begins),
            modified_at=self._clock(),
            account_token=subscription.account_token,
            ownership=Ownership.FAMILY_SHARED if subscription.shared_by else Ownership.PURCHASED,
            renewal=renewal,
            free_trial=free_trial,
        )
        subscription.transactions.append(transaction)
        return transaction

    def subscription(self, original_transaction_id: str) -> Subscription:
        try:
            return self.subscriptions[original_transaction_id]
        except KeyError:
            raise NoSuchTransaction(original_transaction_id) from None

    def transaction(self, transaction_id: str) -> Transaction:
        for subscription in self.subscriptions.values():
            for transaction in subscription.transactions:
                if transaction.transaction_id == transaction_id:
                    return transaction
        raise NoSuchTransaction(transaction_id)

    def subscription_of(self, transaction: Transaction) -> Subscription:
        return self.subscriptions[transaction.original_transaction_id]

    def bought_by(self, customer: str) -> list[Subscription]:
        return [known for known in self.subscriptions.values() if known.customer == customer]

    def shared_from(self, payer: Subscription) -> list[Subscription]:
        """The family members' subscriptions that still run."""
        return [
            known
            for known in self.subscriptions.values()
            if known.shared_by == payer.original_transaction_id and not known.latest.revocation and not known.ended
        ]

    def _revoke(self, transaction_id: str, kind: str, revocation: Revocation) -> Transaction:
        with self.lock:
            transaction = self.transaction(transaction_id)
            if transaction.revocation:
                raise NotPossible("This transaction has been refunded or revoked already.")
            subscription = self.subscription_of(transaction)
            transaction.revocation, transaction.modified_at = revocation, revocation.at
            if transaction is subscription.latest:
                subscription.auto_renews = False
                subscription.expiration_intent = ExpirationIntent.CUSTOMER_CANCELLED
                for shared in self.shared_from(subscription):
                    self.stop_sharing(shared.original_transaction_id)
            self.announce(subscription, kind, None, transaction)
            return transaction

    def _product(self, product_id: str) -> Product:
        try:
            return self._products[product_id]
        except KeyError:
            raise NotForSale(product_id) from None

    def _in_group(self, customer: str, group: str) -> Subscription | None:
        own = (known for known in self.bought_by(customer) if known.shared_by is None)
        return next((known for known in own if known.latest.product.group == group), None)

    def _running(self, original_transaction_id: str) -> Subscription:
        subscription = self.subscription(original_transaction_id)
        if not subscription.renews:
            raise NotPossible("This subscription has ended, or another family member pays for it.")
        return subscription

    def _next_id(self) -> str:
        return str(next(self._transaction_ids))

    @staticmethod
    def _start_afresh(subscription: Subscription) -> None:
        subscription.ended = subscription.in_billing_retry = False
        subscription.auto_renews = subscription.card_works = True
        subscription.grace_ends_at = subscription.expiration_intent = subscription.agrees_to_price = None
