"""The Apple stand-in: two hosts, Production and Sandbox, each on a loopback port of its own, with one clock."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from threading import Event, Lock, Thread

from sandbox.apple_server.app_store import AppStore
from sandbox.apple_server.certificate_chain import CertificateChain
from sandbox.apple_server.check_bearer_token import BearerTokenCheck
from sandbox.apple_server.faults import Faults
from sandbox.apple_server.forgeries import Forger
from sandbox.apple_server.notification_history import NotificationHistory
from sandbox.apple_server.notification_outbox import NotificationOutbox
from sandbox.apple_server.pass_time import pass_time
from sandbox.apple_server.products import PRODUCTS, PRODUCTS_SETTING, Product
from sandbox.apple_server.server_api import ServerApi
from sandbox.apple_server.signed_payloads import PayloadSigner
from sandbox.apple_server.sold_app import App, Environment, ServerApiKey
from sandbox.apple_server.store_controls import StoreControls
from sandbox.apple_server.subscriptions import Transaction
from sandbox.apple_server.verify_receipt import IssuedReceipts, ReceiptVerifier
from sandbox.clock import Clock, utc_now
from sandbox.http_listener import Listener, Reply, Request
from sandbox.store_clock import StoreClock

AUTOMATIC_DELIVERY_SECONDS = 0.25


class AppleServer:
    """Start it, point Apple's library at `production.url` or `sandbox.url`, and trust `root_certificate`."""

    def __init__(
        self,
        *,
        app: App | None = None,
        products: Sequence[Product] = PRODUCTS,
        clock: Clock = utc_now,
        notification_url: str | None = None,
        production_port: int = 0,
        sandbox_port: int = 0,
        ocsp_url: str | None = None,
    ) -> None:
        self.app = app or App()
        self.api_key = ServerApiKey()
        self.clock = StoreClock(clock)
        self.chain = CertificateChain.make(now=self.clock(), ocsp_url=ocsp_url)
        self.forger = Forger(self.chain, self.clock)
        self._issued = IssuedReceipts()
        self._time = Lock()
        self._stopping = Event()
        self._deliverer: Thread | None = None
        self.production = self._host(Environment.PRODUCTION, tuple(products), production_port)
        self.sandbox = self._host(Environment.SANDBOX, tuple(products), sandbox_port)
        self.notify(notification_url)

    @property
    def root_certificate(self) -> bytes:
        """In DER, as `SignedDataVerifier` wants it."""
        return self.chain.root.der

    def settings(self, root_certificate: Path) -> dict[str, str]:
        """What makes a development server take this for Apple. `root_certificate` is the file that it was written to."""
        return {
            "APPLE_BUNDLE_ID": self.app.bundle_id,
            "APPLE_APP_ID": str(self.app.app_apple_id),
            "APPLE_PRODUCTS": PRODUCTS_SETTING,
            "APPLE_SHARED_SECRET": self.app.shared_secret,
            "APPLE_API_KEY_ID": self.api_key.key_id,
            "APPLE_API_ISSUER_ID": self.api_key.issuer_id,
            "APPLE_API_PRIVATE_KEY": self.api_key.p8.decode(),
            "APPLE_ROOT_CERTIFICATE": str(root_certificate),
            "APPLE_PRODUCTION_URL": self.production.url,
            "APPLE_SANDBOX_URL": self.sandbox.url,
        }

    @property
    def hosts(self) -> tuple["AppleHost", "AppleHost"]:
        return self.production, self.sandbox

    def start(self, *, deliver_automatically: bool = False) -> None:
        """Also after a stop: same ports, same books.

        With automatic delivery a thread sends notifications as they come and lets time pass by itself.
        """
        self._stopping.clear()
        for host in self.hosts:
            host.listener.start()
        if deliver_automatically:
            self._deliverer = Thread(target=self._deliver_until_stopped, daemon=True)
            self._deliverer.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._deliverer:
            self._deliverer.join()
            self._deliverer = None
        for host in self.hosts:
            host.listener.stop()

    def notify(self, url: str | None) -> None:
        """The address for both environments' notifications, as it is set in App Store Connect."""
        for host in self.hosts:
            host.notifications.url = url

    def advance(self, by: timedelta = timedelta()) -> None:
        """Let time pass: renewals, failures and expiries happen, each at its own moment. By nothing: catch up."""
        with self._time:
            pass_time([host.store for host in self.hosts], self.clock, self.clock() + by)

    def _host(self, environment: Environment, products: tuple[Product, ...], port: int) -> "AppleHost":
        signer = PayloadSigner(self.app, environment, self.chain, self.clock)
        outbox = NotificationOutbox(environment, self.clock)
        store = AppStore(signer, outbox, self.clock, products)
        receipts = ReceiptVerifier(self.app, environment, self.chain, store, self.clock, self._issued)
        api = ServerApi(
            app=self.app,
            environment=environment,
            store=store,
            signer=signer,
            outbox=outbox,
            history=NotificationHistory(environment, outbox, self.clock),
            token_check=BearerTokenCheck(self.app, self.api_key),
        )
        return AppleHost(server=self, store=store, notifications=outbox, receipts=receipts, api=api, port=port)

    def _deliver_until_stopped(self) -> None:
        while not self._stopping.wait(AUTOMATIC_DELIVERY_SECONDS):
            self.advance()
            for host in self.hosts:
                host.notifications.deliver_pending()


class AppleHost:
    """One environment: its books, its notifications, its errors on demand, and the port where all of it is served."""

    def __init__(
        self,
        *,
        server: AppleServer,
        store: AppStore,
        notifications: NotificationOutbox,
        receipts: ReceiptVerifier,
        api: ServerApi,
        port: int,
    ) -> None:
        self.store = store
        self.notifications = notifications
        self.faults = Faults()
        self.listener = Listener(self.answer, port)
        self._server = server
        self._receipts = receipts
        self._api = api
        self._controls = StoreControls(server, self)

    @property
    def url(self) -> str:
        """The base of the App Store Server API."""
        return self.listener.url

    @property
    def verify_receipt_url(self) -> str:
        return self.listener.url + "/verifyReceipt"

    def receipt_for(self, customer: str) -> str:
        """The legacy receipt on the customer's device, in base64."""
        return self._receipts.receipt_for(customer)

    def signed_transaction(self, transaction: Transaction) -> str:
        """What StoreKit 2 on the device gives the app to send."""
        return self.store.signer.transaction(transaction)

    def answer(self, request: Request) -> Reply:
        if request.path.startswith("/controls/"):
            return self._controls.answer(request)
        legacy = request.path == "/verifyReceipt"
        if fault := self.faults.next_for(legacy=legacy):
            return fault
        self._server.advance()
        return self._receipts.answer(request) if legacy else self._api.answer(request)
