"""Payments with an App Store on loopback that signs with its own chain. Both share one clock, which only tests move."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import Flask
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from payments.apple.purchase import AppleEnvironment
from payments.apple.rules import Apple, SandboxPolicy
from payments.apple_validator import AppleApiKey
from payments.billing.rules import BillingRules
from payments.product_table import ProductTable
from sandbox.apple_server.notification_outbox import SendAttempt
from sandbox.apple_server.server import AppleHost, AppleServer
from sandbox.apple_server.subscriptions import Subscription
from tests.payments.payments_app import RunningPayments, announce_to, app_of, assembled

PRO, PRO_YEARLY = "com.mirroros.pro.monthly", "com.mirroros.pro.yearly"
ENTERPRISE = "com.mirroros.enterprise.monthly"
PRODUCTS = f"{PRO}:pro:monthly,{PRO_YEARLY}:pro:yearly,{ENTERPRISE}:enterprise:monthly"
NOBODY_LISTENS = "http://127.0.0.1:9/ocsp"
REVIEWER = "review@example.com"


@dataclass
class RunningApple(RunningPayments):
    """Our side, with the App Store beside it."""

    app_store: AppleServer
    apple: Apple

    @property
    def production(self) -> AppleHost:
        return self.app_store.production

    def token(self, user: uuid.UUID) -> uuid.UUID:
        answer = self.get("/apple/account-token", user)
        assert answer.status_code == 200, answer.text
        return uuid.UUID(answer.get_json()["account_token"])

    def buy(self, user: uuid.UUID, product: str = PRO, customer: str = "alice", **more: Any) -> Subscription:
        """The app buys with the user's token."""
        return self.production.store.subscribe(customer, product, self.token(user), **more)

    def signed(self, bought: Subscription, host: AppleHost | None = None) -> str:
        return (host or self.production).signed_transaction(bought.latest)

    def hand_in(self, receipt: str, user: uuid.UUID) -> TestResponse:
        return self.post("/apple/validate-receipt", {"receipt_data": receipt}, user)

    def buy_and_hand_in(self, user: uuid.UUID, product: str = PRO, **more: Any) -> Subscription:
        bought = self.buy(user, product, **more)
        answer = self.hand_in(self.signed(bought), user)
        assert answer.status_code == 200, answer.text
        return bought

    def deliver(self, order: tuple[int, ...] | None = None) -> list[SendAttempt]:
        """Apple sends what is due, and our workers do their work. `order` is that of production's notifications."""
        attempts = self.production.notifications.deliver_pending(order)
        attempts += self.app_store.sandbox.notifications.deliver_pending()
        self.work()
        return attempts

    def pass_time(self, **by: float) -> None:
        """Time passes at Apple and here, and Apple's notifications arrive."""
        self.app_store.advance(timedelta(**by))
        self.deliver()


@contextmanager
def running_apple(
    url: str,
    *,
    production: bool = True,
    legacy: bool = True,
    api: bool = True,
    online_checks: bool = False,
    products: str = PRODUCTS,
) -> Iterator[RunningApple]:
    """`production`: sandbox purchases do not count, except the reviewer's. `legacy` and `api`: which secrets are set.
    `online_checks`: the certificates name an OCSP server that does not answer.
    """
    store = AppleServer(ocsp_url=NOBODY_LISTENS if online_checks else None)
    store.start()
    announced: list[tuple[uuid.UUID, int]] = []
    key = AppleApiKey(store.api_key.key_id, store.api_key.issuer_id, store.api_key.p8)
    rules = BillingRules(announce_to(announced), clock=store.clock)
    ours = Apple.of_app(
        rules,
        bundle_id=store.app.bundle_id,
        app_id=store.app.app_apple_id,
        products=ProductTable.read(products),
        sandbox=SandboxPolicy(everybody=not production, accounts=frozenset({REVIEWER})),
        online_checks=online_checks,
        shared_secret=store.app.shared_secret if legacy else None,
        api_key=key if api else None,
        root_certificate=store.root_certificate,
        urls={AppleEnvironment.PRODUCTION: store.production.url, AppleEnvironment.SANDBOX: store.sandbox.url},
    )
    payments = assembled(url, rules, apple=ours)
    app = app_of(url, payments)
    with served(app) as address:
        store.notify(f"{address}/api/payments/apple/notifications")
        try:
            yield RunningApple(app, payments, store.clock, announced, store, ours)
        finally:
            store.stop()


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """The application on a loopback port, because Apple's notifications come over HTTP."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
