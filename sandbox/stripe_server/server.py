"""The Stripe stand-in: one account with its objects, its clock, its webhook endpoint and its port on loopback."""

import secrets
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import stripe

from sandbox.clock import Clock, utc_now
from sandbox.http_listener import Listener, Reply, Request
from sandbox.store_clock import StoreClock
from sandbox.stripe_server.billing.invoices import Invoices
from sandbox.stripe_server.billing.schedules import Schedules
from sandbox.stripe_server.billing.subscriptions import Subscriptions
from sandbox.stripe_server.books import Books, Handlers
from sandbox.stripe_server.controls import Controls
from sandbox.stripe_server.hosted_pages.billing_portal import BillingPortal
from sandbox.stripe_server.hosted_pages.checkout import Checkout
from sandbox.stripe_server.hosted_pages.customer_pages import CustomerPages
from sandbox.stripe_server.pass_time import Calendar
from sandbox.stripe_server.payments.charging import Charging
from sandbox.stripe_server.payments.customers import Customers
from sandbox.stripe_server.payments.payment_intents import PaymentIntents
from sandbox.stripe_server.payments.refunds import Refunds
from sandbox.stripe_server.products.catalogue import Catalogue
from sandbox.stripe_server.products.coupons import Coupons
from sandbox.stripe_server.protocol.api import Api, Seen
from sandbox.stripe_server.protocol.faults import Faults
from sandbox.stripe_server.webhooks.event_outbox import EventOutbox
from sandbox.stripe_server.webhooks.events import Events
from sandbox.stripe_server.webhooks.webhook_endpoints import WebhookEndpoints

AUTOMATIC_DELIVERY_SECONDS = 0.25
NOTHING = timedelta()


class StripeServer:
    """Start it, and give `url` to `stripe.StripeClient` as its `base_addresses["api"]`.

    Webhooks are signed at the time of `signing_clock`. It differs from `clock` where the receiver has not moved in time.
    The mode is that of the `secret_key`; `livemode` is for one that is made up.
    """

    def __init__(
        self,
        *,
        secret_key: str | None = None,
        webhook_secret: str | None = None,
        webhook_url: str | None = None,
        clock: Clock = utc_now,
        signing_clock: Clock | None = None,
        livemode: bool = False,
        port: int = 0,
        books_file: Path | None = None,
    ) -> None:
        secret_key = secret_key or new_key(livemode)
        self.webhook_secret = webhook_secret or f"whsec_{secrets.token_hex(16)}"
        self.clock = StoreClock(clock)
        self.books = Books(self.clock, is_live(secret_key), stripe.api_version)
        self.outbox = EventOutbox(self.clock, signing_clock or self.clock, self.webhook_secret, webhook_url)
        self.books.hear = self.outbox.add
        self.faults = Faults()
        charging = Charging(self.books)
        self.catalogue = Catalogue(self.books)
        self.coupons = Coupons(self.books)
        self.customers = Customers(self.books)
        self.invoices = Invoices(self.books, charging, self.customers, self.coupons)
        self.subscriptions = Subscriptions(self.books, self.catalogue, self.customers, self.invoices, self.coupons)
        self.schedules = Schedules(self.books, self.catalogue, self.subscriptions)
        self.checkout = Checkout(
            books=self.books,
            catalogue=self.catalogue,
            customers=self.customers,
            subscriptions=self.subscriptions,
            invoices=self.invoices,
            coupons=self.coupons,
            charging=charging,
            base_url=lambda: self.url,
        )
        self.portal = BillingPortal(self.books, self.customers, self.subscriptions, lambda: self.url)
        self.payment_intents = PaymentIntents(self.books, charging, self.customers)
        self.refunds = Refunds(self.books)
        self.calendar = Calendar(
            books=self.books,
            charging=charging,
            subscriptions=self.subscriptions,
            schedules=self.schedules,
            invoices=self.invoices,
            checkout=self.checkout,
        )
        self._api = Api(self.books, secret_key, self._handlers(), self.faults)
        self._pages = CustomerPages(self.books, self.checkout, self.portal)
        self._controls = Controls(self)
        self._listener = Listener(self.answer, port)
        self._books_file = books_file
        self._stopping = Event()
        self._deliverer: Thread | None = None
        if books_file is not None and books_file.exists():
            self.books.load(books_file.read_text())

    @property
    def url(self) -> str:
        return self._listener.url

    @property
    def secret_key(self) -> str:
        return self._api.secret_key

    def switch_mode(self, secret_key: str | None = None) -> None:
        """As when the key of the other mode is set where this one was: same address and prices, nothing else is known there.

        Events that were due are still sent, as the other mode's endpoint goes on.
        """
        with self.books.lock:
            key = secret_key or new_key(not self.books.livemode)
            self.books.switch_mode(is_live(key))
            self._api.switch_key(key)

    @property
    def seen(self) -> list[Seen]:
        """Every well-formed request of the API so far."""
        return self._api.seen

    def start(self, *, deliver_automatically: bool = False) -> None:
        """Also after a stop: same port, same books.

        With automatic delivery a thread sends events as they come and lets time pass by itself.
        """
        self._stopping.clear()
        self._listener.start()
        if deliver_automatically:
            self._deliverer = Thread(target=self._deliver_until_stopped, daemon=True)
            self._deliverer.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._deliverer:
            self._deliverer.join()
            self._deliverer = None
        self._listener.stop()
        self._save()

    def advance(self, by: timedelta = NOTHING) -> None:
        """Let time pass: what is due happens, each thing at its own moment. By nothing: catch up."""
        with self.books.lock:
            self.calendar.pass_until(self.clock() + by)

    def answer(self, request: Request) -> Reply:
        if request.path.startswith("/controls/"):
            return self._controls.answer(request)
        self.advance()
        if request.path.startswith(("/checkout/", "/portal/")):
            return self._pages.answer(request)
        return self._api.answer(request)

    def _handlers(self) -> Handlers:
        parts = (
            self.catalogue,
            self.coupons,
            self.customers,
            self.invoices,
            self.subscriptions,
            self.schedules,
            self.checkout,
            self.portal,
            self.payment_intents,
            self.refunds,
            Events(self.books, self.outbox),
            WebhookEndpoints(self.books),
        )
        return {route: handler for each in parts for route, handler in each.handlers().items()}

    def _deliver_until_stopped(self) -> None:
        while not self._stopping.wait(AUTOMATIC_DELIVERY_SECONDS):
            self.advance()
            if self.outbox.pending():
                self.outbox.deliver_pending()
                self._save()

    def _save(self) -> None:
        if self._books_file is not None:
            self._books_file.parent.mkdir(parents=True, exist_ok=True)
            draft = self._books_file.with_suffix(".draft")
            draft.write_text(self.books.saved())
            draft.replace(self._books_file)


def new_key(livemode: bool) -> str:
    return f"sk_{'live' if livemode else 'test'}_{secrets.token_hex(16)}"


def is_live(secret_key: str) -> bool:
    return "_live_" in secret_key
