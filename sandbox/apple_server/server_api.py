"""The App Store Server API, as far as a server with subscriptions calls it.

Source of paths, parameters and error codes: developer.apple.com/documentation/appstoreserverapi
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from sandbox.apple_server.app_store import AppStore, NoSuchTransaction
from sandbox.apple_server.check_bearer_token import BearerTokenCheck, Unauthenticated
from sandbox.apple_server.notification_history import NotificationHistory, send_attempts
from sandbox.apple_server.notification_outbox import NotificationOutbox
from sandbox.apple_server.page_through import UnknownPageToken, page_through
from sandbox.apple_server.server_api_errors import ApiError, RequestRefused
from sandbox.apple_server.signed_payloads import PayloadSigner
from sandbox.apple_server.sold_app import App, Environment
from sandbox.apple_server.subscriptions import Status, Subscription, Transaction
from sandbox.apple_server.transaction_history import matching_transactions
from sandbox.http_listener import Reply, Request

Handler = Callable[["ServerApi", Request, str], Reply]
LONGEST_TRANSACTION_ID = 20


@dataclass(frozen=True)
class ServerApi:
    app: App
    environment: Environment
    store: AppStore
    signer: PayloadSigner
    outbox: NotificationOutbox
    history: NotificationHistory
    token_check: BearerTokenCheck

    def answer(self, request: Request) -> Reply:
        try:
            self.token_check.check(request.headers.get("authorization", ""))
            for method, pattern, handler in ROUTES:
                found = re.fullmatch(pattern, request.path)
                if found and method == request.method:
                    with self.store.lock:
                        return handler(self, request, (*found.groups(), "")[0])
        except Unauthenticated:
            return Reply(401, "Unauthenticated")
        except NoSuchTransaction:
            return ApiError.TRANSACTION_NOT_FOUND.reply()
        except RequestRefused as refused:
            return refused.error.reply()
        return Reply(404, "Not Found")

    def transaction_info(self, _: Request, transaction_id: str) -> Reply:
        return Reply(200, {"signedTransactionInfo": self.signer.transaction(self._transaction(transaction_id))})

    def subscription_statuses(self, request: Request, transaction_id: str) -> Reply:
        wanted = self._wanted_statuses(request)
        groups: dict[str, list[dict[str, object]]] = {}
        for subscription in self._subscriptions(transaction_id):
            if subscription.status() in wanted:
                group = subscription.latest.product.group
                groups.setdefault(group, []).append(self._last_transaction(subscription))
        data = [
            {"subscriptionGroupIdentifier": group, "lastTransactions": transactions}
            for group, transactions in groups.items()
        ]
        return Reply(200, {**self._heading(), "data": data})

    def transaction_history(self, request: Request, transaction_id: str) -> Reply:
        owned = self._all_transactions(transaction_id)
        transactions = matching_transactions(owned, request.query)
        return Reply(200, {**self._heading(), **self._signed_page(transactions, request)})

    def refund_history(self, request: Request, transaction_id: str) -> Reply:
        refunded = [transaction for transaction in self._all_transactions(transaction_id) if transaction.revocation]
        return Reply(200, self._signed_page(sorted(refunded, key=lambda refund: refund.modified_at), request))

    def notification_history(self, request: Request, _: str) -> Reply:
        return self.history.answer(request)

    def request_test_notification(self, *_: object) -> Reply:
        if self.outbox.url is None:
            raise RequestRefused(ApiError.NO_NOTIFICATION_URL)
        return Reply(200, {"testNotificationToken": self.store.announce_test().uuid})

    def test_notification_status(self, _: Request, token: str) -> Reply:
        found = next((news for news in self.outbox.history if news.uuid == token and news.kind == "TEST"), None)
        if found is None:
            raise RequestRefused(ApiError.NO_TEST_NOTIFICATION)
        return Reply(200, {"signedPayload": found.signed_payload, "sendAttempts": send_attempts(found)})

    def set_account_token(self, request: Request, transaction_id: str) -> Reply:
        transaction = self._transaction(transaction_id)
        if transaction.transaction_id != transaction.original_transaction_id:
            raise RequestRefused(ApiError.NOT_AN_ORIGINAL_TRANSACTION)
        try:
            account_token = UUID(json.loads(request.body)["appAccountToken"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise RequestRefused(ApiError.INVALID_ACCOUNT_TOKEN) from None
        self.store.set_account_token(transaction_id, account_token)
        return Reply(200)

    def _transaction(self, transaction_id: str) -> Transaction:
        if not transaction_id.isdecimal() or len(transaction_id) > LONGEST_TRANSACTION_ID:
            raise RequestRefused(ApiError.INVALID_TRANSACTION_ID)
        return self.store.transaction(transaction_id)

    def _subscriptions(self, transaction_id: str) -> list[Subscription]:
        """All of the customer's, whichever of their transactions was named."""
        return self.store.bought_by(self._transaction(transaction_id).customer)

    def _all_transactions(self, transaction_id: str) -> list[Transaction]:
        return [paid for subscription in self._subscriptions(transaction_id) for paid in subscription.transactions]

    def _wanted_statuses(self, request: Request) -> set[Status]:
        try:
            return {Status(int(value)) for value in request.query.get("status", ())} or set(Status)
        except ValueError:
            raise RequestRefused(ApiError.INVALID_STATUS) from None

    def _last_transaction(self, subscription: Subscription) -> dict[str, object]:
        return {
            "status": subscription.status(),
            "originalTransactionId": subscription.original_transaction_id,
            "signedTransactionInfo": self.signer.transaction(subscription.latest),
            "signedRenewalInfo": self.signer.renewal_info(subscription),
        }

    def _signed_page(self, transactions: list[Transaction], request: Request) -> dict[str, object]:
        revision = request.query.get("revision", [None])[0]
        try:
            page = page_through(transactions, revision)
        except UnknownPageToken:
            raise RequestRefused(ApiError.INVALID_REVISION) from None
        signed = [self.signer.transaction(transaction) for transaction in page.items]
        return {"signedTransactions": signed, "revision": page.token, "hasMore": page.has_more}

    def _heading(self) -> dict[str, object]:
        heading: dict[str, object] = {"environment": self.environment.value, "bundleId": self.app.bundle_id}
        if self.environment is Environment.PRODUCTION:
            heading["appAppleId"] = self.app.app_apple_id
        return heading


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/inApps/v1/transactions/([^/]+)", ServerApi.transaction_info),
    ("PUT", "/inApps/v1/transactions/([^/]+)/appAccountToken", ServerApi.set_account_token),
    ("GET", "/inApps/v1/subscriptions/([^/]+)", ServerApi.subscription_statuses),
    ("GET", "/inApps/v[12]/history/([^/]+)", ServerApi.transaction_history),
    ("GET", "/inApps/v2/refund/lookup/([^/]+)", ServerApi.refund_history),
    ("POST", "/inApps/v1/notifications/history", ServerApi.notification_history),
    ("POST", "/inApps/v1/notifications/test", ServerApi.request_test_notification),
    ("GET", "/inApps/v1/notifications/test/([^/]+)", ServerApi.test_notification_status),
)
