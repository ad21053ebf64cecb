"""Stripe's API. The only module that imports `stripe`.

One client for each process, made at the first use: a socket must not be shared with a process that was forked. The
library is slow to import, so that waits too. Every call is bounded: two retries with one idempotency key.
"""

import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
import requests
import structlog
from requests.adapters import HTTPAdapter

from payments.stripe.objects import (
    StripeCharge,
    StripeCheckoutSession,
    StripeDispute,
    StripeEvent,
    StripeIntent,
    StripeInvoice,
    StripePrice,
    StripeRefund,
    StripeSubscription,
    read_charge,
    read_dispute,
    read_intent,
    read_invoice,
    read_price,
    read_refund,
    read_session,
    read_subscription,
)
from payments.stripe.problems import (
    CardDeclined,
    EventNotAuthentic,
    EventNotUsable,
    StripeEmailRefused,
    StripeKeyRefused,
    StripeObjectMissing,
    StripeOutOfReach,
    StripeRefused,
    StripeStateConflict,
    StripeUnavailable,
)

if TYPE_CHECKING:
    import stripe

API = "https://api.stripe.com"
TIMEOUT_SECONDS = (3.05, 10.0)
"""To connect, to wait for data. The library's own 80 seconds would outlive the web server's patience."""
RETRIES = 2
MOST_CONNECTIONS = 64
SIGNATURE_TOLERANCE = timedelta(minutes=5)
"""As Stripe's own libraries have it, but to both sides: they take any time in the future."""
LONGEST_SIGNATURE = 4096
STATE_CODES = frozenset(
    {
        "payment_intent_unexpected_state",
        "charge_already_refunded",
        "charge_disputed",
        "invoice_already_paid",
        "invoice_not_payable",
    }
)
USER_ID = "user_id"
"""The customer's metadata key that names our user."""
SUBSCRIPTION_PARTS = ["latest_invoice", "schedule"]
INTENT_PARTS = ["latest_charge"]
NEVER_LEFT = frozenset({"failed", "canceled"})
"""Refunds whose money stayed with us, or came back."""
SUSPENDED_BY = "suspended_by"
"""The subscription's metadata key that names the dispute for which we stopped collecting."""


@dataclass(frozen=True)
class StripeAddress:
    """`api_key` decides the mode: what happens in the other one is not our business."""

    api_key: str = field(repr=False)
    api_base: str = API

    @property
    def live(self) -> bool:
        return "_live_" in self.api_key

    @property
    def environment(self) -> str:
        return environment_name(live=self.live)


def environment_name(*, live: bool) -> str:
    return "live" if live else "test"


class StripeHandler:
    """Raises StripeUnavailable and StripeRefused from every call, CardDeclined where money moves, and
    StripeObjectMissing or StripeStateConflict where the caller can do something about it.
    """

    def __init__(self, address: StripeAddress) -> None:
        self.address = address
        self._lock = threading.Lock()
        self._made: tuple[int, stripe.StripeClient, requests.Session] | None = None

    def close(self) -> None:
        """Closes idle connections. The next call opens new ones."""
        with self._lock:
            if self._made is not None:
                self._made[2].close()
            self._made = None

    # Customers and pages

    def create_customer(self, user_id: UUID, email: str | None, key: str) -> str:
        """Without an address Stripe sends no receipts. Raises StripeEmailRefused."""
        params: Any = {"metadata": {USER_ID: str(user_id)}, **({} if email is None else {"email": email})}
        with self._errors():
            return self._client.v1.customers.create(params, {"idempotency_key": key}).id

    def customer_made_for(self, user_id: UUID, email: str) -> str | None:
        """By a request whose answer was lost. Lists are up to date at once; Stripe's search is not (docs.stripe.com/search)."""
        with self._errors():
            listed = self._client.v1.customers.list({"email": email, "limit": 100})
            made = (each["id"] for each in map(plain, listed.data) if each["metadata"].get(USER_ID) == str(user_id))
            return next(made, None)

    def customer_currency(self, customer_id: str) -> str | None:
        """What Stripe charges this customer in; None before the first purchase."""
        with self._errors():
            currency: str | None = plain(self._client.v1.customers.retrieve(customer_id)).get("currency")
            return currency

    def set_email(self, customer_id: str, email: str) -> None:
        """Where receipts go. Raises StripeEmailRefused."""
        with self._errors():
            self._client.v1.customers.update(customer_id, {"email": email})

    def create_checkout_session(self, parameters: Mapping[str, Any], key: str) -> StripeCheckoutSession:
        params: Any = parameters
        with self._errors():
            return read_session(plain(self._client.v1.checkout.sessions.create(params, {"idempotency_key": key})))

    def checkout_session(self, session_id: str) -> StripeCheckoutSession:
        with self._errors():
            return read_session(plain(self._client.v1.checkout.sessions.retrieve(session_id)))

    def expire_checkout_session(self, session_id: str) -> None:
        """Nothing happens to one that is not open any more."""
        with self._errors():
            session = read_session(plain(self._client.v1.checkout.sessions.retrieve(session_id)))
            if session.status == "open":
                self._client.v1.checkout.sessions.expire(session_id)

    def create_portal_session(self, customer_id: str, return_url: str) -> str:
        """The page's address. It works for a few minutes; make a new one for every click."""
        with self._errors():
            return self._client.v1.billing_portal.sessions.create(
                {"customer": customer_id, "return_url": return_url}
            ).url

    def price(self, price_id: str) -> StripePrice:
        with self._errors():
            return read_price(plain(self._client.v1.prices.retrieve(price_id)))

    # Subscriptions

    def subscription(self, subscription_id: str) -> StripeSubscription:
        with self._errors():
            found = self._client.v1.subscriptions.retrieve(subscription_id, {"expand": SUBSCRIPTION_PARTS})
            return read_subscription(plain(found))

    def subscriptions_of(self, customer_id: str) -> list[StripeSubscription]:
        """Every one, also those that have ended, with the customer's address; the newest first."""
        with self._errors():
            listed = self._client.v1.subscriptions.list(
                {
                    "customer": customer_id,
                    "status": "all",
                    "limit": 100,
                    "expand": [f"data.{part}" for part in (*SUBSCRIPTION_PARTS, "customer")],
                }
            )
            return [read_subscription(plain(each)) for each in listed.auto_paging_iter()]

    def cancel_subscription(self, subscription_id: str) -> None:
        """At once, without giving money back. One that has ended already stays so."""
        try:
            with self._errors():
                self._client.v1.subscriptions.cancel(subscription_id, {"prorate": False})
        except StripeObjectMissing:
            structlog.get_logger().info("stripe_subscription_had_ended")

    def cancel_at_period_end(self, subscription: StripeSubscription) -> None:
        self._let_go(subscription)
        with self._errors():
            self._client.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})

    def keep_subscription(self, subscription: StripeSubscription) -> None:
        """Take back a planned end, however it was planned. Stripe takes one of the two parameters at a time."""
        with self._errors():
            if subscription.cancel_at_period_end:
                self._client.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": False})
            else:
                self._client.v1.subscriptions.update(subscription.id, {"cancel_at": ""})

    def change_price_now(self, subscription: StripeSubscription, price_id: str) -> StripeSubscription:
        """Applied only when the difference is paid. The item's id matters: without it the price comes on top of the old one."""
        self._let_go(subscription)
        with self._errors():
            changed = self._client.v1.subscriptions.update(
                subscription.id,
                {
                    "items": [{"id": subscription.items[0].id, "price": price_id}],
                    "proration_behavior": "always_invoice",
                    "payment_behavior": "pending_if_incomplete",
                    "expand": SUBSCRIPTION_PARTS,
                },
            )
            return read_subscription(plain(changed))

    def change_price_later(self, subscription: StripeSubscription, price_id: str, interval: str) -> None:
        """At the end of the period. `interval` is the new price's: `month` or `year`."""
        client = self._client
        with self._errors():
            schedule_id = subscription.schedule_id
            if schedule_id is None:
                schedule_id = client.v1.subscription_schedules.create({"from_subscription": subscription.id}).id
            item = subscription.items[0]
            length: Any = interval
            client.v1.subscription_schedules.update(
                schedule_id,
                {
                    "end_behavior": "release",
                    "phases": [
                        {
                            "items": [{"price": item.price_id, "quantity": 1}],
                            "start_date": int(item.period_start.timestamp()),
                            "end_date": int(item.period_end.timestamp()),
                        },
                        {
                            "items": [{"price": price_id, "quantity": 1}],
                            "duration": {"interval": length, "interval_count": 1},
                        },
                    ],
                },
            )

    def keep_price(self, subscription: StripeSubscription) -> None:
        """Take back a change that was planned for the end of the period."""
        self._let_go(subscription)

    def suspend(self, subscription_id: str, dispute_id: str) -> None:
        """Stop collecting: invoices are voided until `unsuspend`, and nothing is granted meanwhile."""
        with self._errors():
            self._client.v1.subscriptions.update(
                subscription_id,
                {"pause_collection": {"behavior": "void"}, "metadata": {SUSPENDED_BY: dispute_id}},
            )

    def unsuspend(self, subscription_id: str) -> None:
        with self._errors():
            self._client.v1.subscriptions.update(
                subscription_id, {"pause_collection": "", "metadata": {SUSPENDED_BY: ""}}
            )

    def _let_go(self, subscription: StripeSubscription) -> None:
        """A subscription that a schedule manages cannot be changed or cancelled directly."""
        if subscription.schedule_id is not None:
            with self._errors():
                self._client.v1.subscription_schedules.release(subscription.schedule_id)

    # Invoices, charges, payments

    def invoice(self, invoice_id: str) -> StripeInvoice:
        with self._errors():
            return read_invoice(plain(self._client.v1.invoices.retrieve(invoice_id)))

    def latest_period_paid(self, subscription_id: str) -> StripeInvoice | None:
        """The newest invoice with which somebody paid for a period; not the difference that a change of the plan cost."""
        with self._errors():
            listed = self._client.v1.invoices.list({"subscription": subscription_id, "status": "paid", "limit": 100})
            paid = (read_invoice(plain(each)) for each in listed.auto_paging_iter())
            return next(
                (each for each in paid if each.amount_paid and each.billing_reason != "subscription_update"), None
            )

    def pay_invoice(self, invoice_id: str) -> None:
        """With the card on file. Raises CardDeclined, or StripeStateConflict when there is nothing to pay any more."""
        with self._errors():
            self._client.v1.invoices.pay(invoice_id)

    def invoice_of_intent(self, intent_id: str) -> StripeInvoice | None:
        """A charge does not name its invoice any more; the invoice's payments name the intent (Stripe, basil)."""
        with self._errors():
            found = self._client.v1.invoice_payments.list(
                {"payment": {"type": "payment_intent", "payment_intent": intent_id}, "limit": 1}
            ).data
            if not found:
                return None
            invoice = found[0].invoice
            return self.invoice(invoice if isinstance(invoice, str) else invoice.id)

    def intent_of_invoice(self, invoice_id: str) -> str | None:
        """The payment that paid it."""
        with self._errors():
            paid = self._client.v1.invoice_payments.list({"invoice": invoice_id, "status": "paid", "limit": 1}).data
            intent = paid[0].payment.payment_intent if paid else None
            return intent if intent is None or isinstance(intent, str) else intent.id

    def charge(self, charge_id: str) -> StripeCharge:
        with self._errors():
            return read_charge(plain(self._client.v1.charges.retrieve(charge_id)))

    def dispute(self, dispute_id: str) -> StripeDispute:
        with self._errors():
            return read_dispute(plain(self._client.v1.disputes.retrieve(dispute_id)))

    def dispute_statuses(self, intent_id: str) -> set[str]:
        """Of every dispute over this payment."""
        with self._errors():
            listed = self._client.v1.disputes.list({"payment_intent": intent_id, "limit": 100})
            return {each.status for each in listed.auto_paging_iter()}

    def read_refund(self, refund_id: str) -> StripeRefund:
        with self._errors():
            return read_refund(plain(self._client.v1.refunds.retrieve(refund_id)))

    def refunded_amount(self, intent_id: str) -> int:
        """What went back to the buyer or is on its way there. What came back to us does not count."""
        with self._errors():
            listed = self._client.v1.refunds.list({"payment_intent": intent_id, "limit": 100})
            return sum(each.amount for each in listed.auto_paging_iter() if each.status not in NEVER_LEFT)

    def refund(self, intent_id: str, key: str) -> None:
        """All that is left. What was given back or is disputed already stays as it is."""
        try:
            with self._errors():
                self._client.v1.refunds.create({"payment_intent": intent_id}, {"idempotency_key": key})
        except StripeStateConflict:
            structlog.get_logger().info("stripe_payment_was_given_back")

    def create_intent(
        self, *, amount: int, currency: str, customer_id: str, metadata: dict[str, str], key: str
    ) -> StripeIntent:
        """Redirects are off, because the card is confirmed from here and nobody could follow one."""
        with self._errors():
            made = self._client.v1.payment_intents.create(
                {
                    "amount": amount,
                    "currency": currency,
                    "customer": customer_id,
                    "metadata": metadata,
                    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                    "expand": INTENT_PARTS,
                },
                {"idempotency_key": key},
            )
            return read_intent(plain(made))

    def confirm_intent(self, intent_id: str, payment_method: str) -> StripeIntent:
        with self._errors():
            confirmed = self._client.v1.payment_intents.confirm(
                intent_id, {"payment_method": payment_method, "expand": INTENT_PARTS}
            )
            return read_intent(plain(confirmed))

    def intent(self, intent_id: str) -> StripeIntent:
        with self._errors():
            return read_intent(plain(self._client.v1.payment_intents.retrieve(intent_id, {"expand": INTENT_PARTS})))

    def cancel_intent(self, intent_id: str) -> StripeIntent:
        """As it is afterwards: one that was paid meanwhile stays paid."""
        try:
            with self._errors():
                return read_intent(plain(self._client.v1.payment_intents.cancel(intent_id, {"expand": INTENT_PARTS})))
        except StripeStateConflict:
            return self.intent(intent_id)

    # Events

    def verified_event(self, body: bytes, signature: str | None, secrets: Sequence[str], now: datetime) -> StripeEvent:
        """The signature is over the bytes as they came (docs.stripe.com/webhooks/signature).

        Raises EventNotAuthentic, and EventNotUsable for what is signed all the same.
        """
        stripe = library()
        signed_at = signing_time(signature)
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            raise EventNotAuthentic("the body is not UTF-8, which Stripe always sends") from None
        for secret in secrets:
            try:
                stripe.WebhookSignature.verify_header(text, signature, secret)
            except stripe.SignatureVerificationError:
                continue
            break
        else:
            raise EventNotAuthentic(
                "the signature does not match the body: it was made with a different signing secret, or a proxy changed the body"
            )
        late_by = int(now.timestamp()) - signed_at
        if abs(late_by) > SIGNATURE_TOLERANCE.total_seconds():
            apart = f"{abs(late_by)} seconds {'ago' if late_by > 0 else 'in the future'}"
            raise EventNotAuthentic(
                f"it was signed {apart} by this server's clock: a clock is wrong, or an old request was sent again"
            )
        return read_event(body)

    def undelivered_events(self, since: datetime) -> Iterator[Mapping[str, Any]]:
        """Events that our endpoint did not accept, the newest first. Stripe keeps them for 30 days."""
        with self._errors():
            listed = self._client.v1.events.list(
                {"delivery_success": False, "created": {"gte": int(since.timestamp())}, "limit": 100}
            )
            for event in listed.auto_paging_iter():
                yield plain(event)

    @property
    def api_version(self) -> str:
        """Of the library: the version in which answers come."""
        version: str = library().api_version
        return version

    @property
    def _client(self) -> "stripe.StripeClient":
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                self._made = (os.getpid(), *self._make_client())
            return self._made[1]

    def _make_client(self) -> tuple["stripe.StripeClient", requests.Session]:
        stripe = library()
        session = requests.Session()
        session.mount("https://", HTTPAdapter(pool_maxsize=MOST_CONNECTIONS))
        session.mount("http://", HTTPAdapter(pool_maxsize=MOST_CONNECTIONS))
        client = stripe.StripeClient(
            self.address.api_key,
            base_addresses={"api": self.address.api_base},
            max_network_retries=RETRIES,  # the client's own default is none
            http_client=stripe.RequestsClient(timeout=TIMEOUT_SECONDS, session=session),
        )
        return client, session

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Stripe's errors become ours. Their text stays out of answers; the log gets the request's id, never its body."""
        stripe = library()
        try:
            yield
        except stripe.CardError:
            raise CardDeclined from None
        except (stripe.RateLimitError, stripe.APIConnectionError) as error:
            note("warning", "stripe_unavailable", error)
            raise StripeOutOfReach from None
        except stripe.InvalidRequestError as error:
            if error.code == "resource_missing":
                raise StripeObjectMissing(error.param) from None
            if error.code in STATE_CODES:
                raise StripeStateConflict from None
            if error.code == "email_invalid" or error.param == "email":
                note("warning", "stripe_email_refused", error)
                raise StripeEmailRefused from None
            note("error", "stripe_refused", error)
            raise StripeRefused from None
        except (stripe.AuthenticationError, stripe.PermissionError) as error:
            note("critical", "stripe_refused", error)
            raise StripeKeyRefused from None
        except stripe.IdempotencyError as error:
            note("critical", "stripe_refused", error)
            raise StripeRefused from None
        except stripe.StripeError as error:
            note("warning", "stripe_failed", error)
            raise StripeUnavailable from None


def library() -> Any:
    import stripe  # noqa: PLC0415 - see the module's docstring

    # At DEBUG it logs the bodies of requests and answers, with addresses and client secrets in them.
    logging.getLogger("stripe").setLevel(logging.WARNING)
    return stripe


def note(level: str, event: str, error: "stripe.StripeError") -> None:
    """Ids and codes alone: an error's text may quote what was sent."""
    getattr(structlog.get_logger(), level)(
        event,
        kind=type(error).__name__,
        code=error.code,
        param=getattr(error, "param", None),
        http_status=error.http_status,
        stripe_request=error.request_id,
    )


def plain(made: Any) -> Mapping[str, Any]:
    """A StripeObject is no mapping since version 15 of the library."""
    mapping: Mapping[str, Any] = made.to_dict()
    return mapping


def signing_time(signature: str | None) -> int:
    """Seconds since 1970. Raises EventNotAuthentic.

    Of several times the library verifies the first one, so there must be no other.
    """
    if not signature:
        raise EventNotAuthentic("the Stripe-Signature header is missing")
    parts = [part.partition("=") for part in signature.split(",")] if len(signature) <= LONGEST_SIGNATURE else []
    times = [value for name, _, value in parts if name == "t"]
    if not signature.isascii() or len(times) != 1 or not times[0].isdecimal():
        raise EventNotAuthentic("the Stripe-Signature header could not be read")
    return int(times[0])


def read_event(body: bytes) -> StripeEvent:
    """Raises EventNotUsable."""
    try:
        event = orjson.loads(body)
        if event["object"] == "v2.core.event":
            raise EventNotUsable(
                "This is a thin event. In Stripe's dashboard, give this endpoint a destination with the payload style Snapshot"
            )
        if event["object"] != "event":
            raise EventNotUsable("This is not an event")
        found = StripeEvent(event["id"], event["type"], event["livemode"] is True, event.get("api_version"))
    except (ValueError, TypeError, KeyError):
        raise EventNotUsable("This is not an event") from None
    if not all(
        isinstance(text, str) and text.isascii() and text.isprintable() and 0 < len(text) <= 255
        for text in (found.id, found.kind)
    ):
        raise EventNotUsable("The id or the type of this event could not be read")
    return found
