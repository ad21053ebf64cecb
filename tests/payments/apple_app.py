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

from database.engine import EngineOptions
from database.writer_connection import writer_connection
from payments.apple import Apple, SandboxPolicy
from payments.apple_notifications import AppleEvents
from payments.apple_purchase import AppleEnvironment
from payments.apple_receipts import LegacyReceipts
from payments.apple_reconcile import apple_reconcilers
from payments.apple_routes import apple_routes
from payments.apple_validator import AppleApiKey, AppleServerApi, AppleSignatures
from payments.assembly import Payments
from payments.billing_rules import BillingRules
from payments.event_inbox import EventInbox
from payments.payment_commands import payment_commands
from payments.product_table import ProductTable
from payments.routes import payment_routes
from payments.store_event import event_writer
from payments.subscription_status import Provider
from sandbox.apple_server.notification_outbox import SendAttempt
from sandbox.apple_server.server import AppleHost, AppleServer
from sandbox.apple_server.subscriptions import Subscription
from security.edge import install_edge
from tests.bare_app import bare_app
from tests.payments.payments_app import NamedCaller, RunningPayments

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
    rules = BillingRules(announce=lambda user, version: announced.append((user, version)), clock=store.clock)
    bundle_id = store.app.bundle_id
    signatures = AppleSignatures(
        bundle_id=bundle_id,
        app_apple_id=store.app.app_apple_id,
        root_certificate=store.root_certificate,
        online_checks=online_checks,
    )
    hosts = {AppleEnvironment.PRODUCTION: store.production, AppleEnvironment.SANDBOX: store.sandbox}
    receipt_urls = {environment: host.verify_receipt_url for environment, host in hosts.items()}
    key = AppleApiKey(store.api_key.key_id, store.api_key.issuer_id, store.api_key.p8)
    api_urls = {environment: host.url for environment, host in hosts.items()}
    apple = Apple(
        rules=rules,
        products=ProductTable.read(products),
        signatures=signatures,
        sandbox=SandboxPolicy(everybody=not production, accounts=frozenset({REVIEWER})),
        online_checks=online_checks,
        receipts=LegacyReceipts(bundle_id, store.app.shared_secret, receipt_urls) if legacy else None,
        api=AppleServerApi(key, bundle_id, signatures, api_urls) if api else None,
    )
    writer = event_writer(writer_connection(url, EngineOptions()))
    inbox = EventInbox({Provider.APPLE: AppleEvents(apple)}, writer, rules.announce, rules.clock)
    payments = Payments(
        rules=rules,
        signed_in=NamedCaller(),
        owner=NamedCaller(),
        plans=(),
        manage_urls={Provider.APPLE: "https://apple.example.com"},
        inbox=inbox,
        reconcilers=apple_reconcilers(apple, inbox),
    )
    app = bare_app(url)
    install_edge(app, cors_origins=frozenset(), require_https=False, trusted_proxy_hops=0, trusted_hosts=())
    app.register_blueprint(payment_routes(payments))
    app.register_blueprint(apple_routes(payments, apple))
    app.cli.add_command(payment_commands(payments))
    with served(app) as address:
        store.notify(f"{address}/api/payments/apple/notifications")
        try:
            yield RunningApple(app, payments, store.clock, announced, store, apple)
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
