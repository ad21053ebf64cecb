"""Stripe's API. The only module that imports `stripe`.

One client for each process, made at the first use: a socket must not be shared with a process that was forked. The
library is slow to import, so that waits too. Every call is bounded: two retries with one idempotency key.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import orjson
import requests
import structlog
from requests.adapters import HTTPAdapter

from payments.stripe.objects import (
    REFUND_KEY,
    SUSPENDED_BY,
    StripeCharge,
    StripeCheckoutSession,
    StripeDispute,
    StripeIntent,
    StripeInvoice,
    StripeObject,
    StripePrice,
    StripeRefund,
    StripeSubscription,
    StripeWebhookEndpoint,
    id_of,
)
from payments.stripe.problems import (
    AmountTooSmall,
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

Found = TypeVar("Found", bound=StripeObject)


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
        with self._v1() as v1:
            return v1.customers.create(params, {"idempotency_key": key}).id

    def customer_made_for(self, user_id: UUID, email: str) -> str | None:
        """By a request whose answer was lost. Lists are up to date at once; Stripe's search is not (docs.stripe.com/search)."""
        with self._v1() as v1:
            listed = v1.customers.list({"email": email, "limit": 100})
            made = (each["id"] for each in map(plain, listed.data) if each["metadata"].get(USER_ID) == str(user_id))
            return next(made, None)

    def customer_currency(self, customer_id: str) -> str | None:
        """What Stripe charges this customer in; None before the first purchase."""
        with self._v1() as v1:
            currency: str | None = plain(v1.customers.retrieve(customer_id)).get("currency")
            return currency

    def set_email(self, customer_id: str, email: str) -> None:
        """Where receipts go. Raises StripeEmailRefused."""
        with self._v1() as v1:
            v1.customers.update(customer_id, {"email": email})

    def create_checkout_session(self, parameters: Any, key: str) -> StripeCheckoutSession:
        return self._read(
            StripeCheckoutSession, lambda v1: v1.checkout.sessions.create(parameters, {"idempotency_key": key})
        )

    def checkout_session(self, session_id: str) -> StripeCheckoutSession:
        return self._read(StripeCheckoutSession, lambda v1: v1.checkout.sessions.retrieve(session_id))

    def expire_checkout_session(self, session_id: str) -> StripeCheckoutSession:
        """As it is afterwards. Nothing happens to one that is not open any more."""
        if self.checkout_session(session_id).status == "open":
            with self._v1() as v1:
                v1.checkout.sessions.expire(session_id)
        return self.checkout_session(session_id)

    def create_portal_session(self, customer_id: str, return_url: str) -> str:
        """The page's address. It works for a few minutes; make a new one for every click."""
        with self._v1() as v1:
            return v1.billing_portal.sessions.create({"customer": customer_id, "return_url": return_url}).url

    def price(self, price_id: str) -> StripePrice:
        return self._read(StripePrice, lambda v1: v1.prices.retrieve(price_id))

    # Subscriptions

    def subscription(self, subscription_id: str) -> StripeSubscription:
        return self._read(
            StripeSubscription, lambda v1: v1.subscriptions.retrieve(subscription_id, {"expand": SUBSCRIPTION_PARTS})
        )

    def subscriptions_of(self, customer_id: str) -> list[StripeSubscription]:
        """Every one, also those that have ended, with the customer's address; the newest first."""
        expand = [f"data.{part}" for part in (*SUBSCRIPTION_PARTS, "customer")]
        with self._v1() as v1:
            listed = v1.subscriptions.list({"customer": customer_id, "status": "all", "limit": 100, "expand": expand})
            return [read(StripeSubscription, each) for each in listed.auto_paging_iter()]

    def cancel_subscription(self, subscription_id: str) -> None:
        """At once, without giving money back. One that has ended already stays so."""
        try:
            with self._v1() as v1:
                v1.subscriptions.cancel(subscription_id, {"prorate": False})
        except StripeObjectMissing:
            structlog.get_logger().info("stripe_subscription_had_ended")

    def cancel_at_period_end(self, subscription: StripeSubscription) -> None:
        self.keep_price(subscription)
        with self._v1() as v1:
            v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})

    def keep_subscription(self, subscription: StripeSubscription) -> None:
        """Take back a planned end, however it was planned. Stripe takes one of the two parameters at a time."""
        planned: Any = {"cancel_at_period_end": False} if subscription.cancel_at_period_end else {"cancel_at": ""}
        with self._v1() as v1:
            v1.subscriptions.update(subscription.id, planned)

    def change_price_now(self, subscription: StripeSubscription, price_id: str) -> StripeSubscription:
        """Applied only when the difference is paid. The item's id matters: without it the price comes on top of the old one."""
        self.keep_price(subscription)
        return self._read(
            StripeSubscription,
            lambda v1: v1.subscriptions.update(
                subscription.id,
                {
                    "items": [{"id": subscription.items[0].id, "price": price_id}],
                    "proration_behavior": "always_invoice",
                    "payment_behavior": "pending_if_incomplete",
                    "expand": SUBSCRIPTION_PARTS,
                },
            ),
        )

    def change_price_later(self, subscription: StripeSubscription, price_id: str, interval: str) -> None:
        """At the end of the period. `interval` is the new price's: `month` or `year`."""
        item = subscription.items[0]
        length: Any = interval
        with self._v1() as v1:
            schedule_id = subscription.schedule_id
            if schedule_id is None:
                schedule_id = v1.subscription_schedules.create({"from_subscription": subscription.id}).id
            v1.subscription_schedules.update(
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
        """Take back a change that was planned for the end of the period. A subscription that a schedule manages cannot be
        changed or cancelled directly.
        """
        if subscription.schedule_id is not None:
            with self._v1() as v1:
                v1.subscription_schedules.release(subscription.schedule_id)

    def suspend(self, subscription_id: str, dispute_id: str) -> None:
        """Stop collecting: invoices are voided until `unsuspend`, and nothing is granted meanwhile."""
        with self._v1() as v1:
            v1.subscriptions.update(
                subscription_id, {"pause_collection": {"behavior": "void"}, "metadata": {SUSPENDED_BY: dispute_id}}
            )

    def unsuspend(self, subscription_id: str) -> None:
        with self._v1() as v1:
            v1.subscriptions.update(subscription_id, {"pause_collection": "", "metadata": {SUSPENDED_BY: ""}})

    # Invoices, charges, payments

    def invoice(self, invoice_id: str) -> StripeInvoice:
        return self._read(StripeInvoice, lambda v1: v1.invoices.retrieve(invoice_id))

    def latest_period_paid(self, subscription_id: str) -> StripeInvoice | None:
        """The newest invoice with which somebody paid for a period; not the difference that a change of the plan cost."""
        with self._v1() as v1:
            listed = v1.invoices.list({"subscription": subscription_id, "status": "paid", "limit": 100})
            paid = (read(StripeInvoice, each) for each in listed.auto_paging_iter())
            return next(
                (each for each in paid if each.amount_paid and each.billing_reason != "subscription_update"), None
            )

    def pay_invoice(self, invoice_id: str) -> None:
        """With the card on file. Raises CardDeclined, or StripeStateConflict when there is nothing to pay any more."""
        with self._v1() as v1:
            v1.invoices.pay(invoice_id)

    def invoice_of_intent(self, intent_id: str) -> StripeInvoice | None:
        """A charge does not name its invoice any more; the invoice's payments name the intent (Stripe, basil)."""
        with self._v1() as v1:
            found = v1.invoice_payments.list(
                {"payment": {"type": "payment_intent", "payment_intent": intent_id}, "limit": 1}
            ).data
            return self.invoice(str(id_of(plain(found[0])["invoice"]))) if found else None

    def intent_of_invoice(self, invoice_id: str) -> str | None:
        """The payment that paid it."""
        with self._v1() as v1:
            paid = v1.invoice_payments.list({"invoice": invoice_id, "status": "paid", "limit": 1}).data
            intent: str | None = id_of(plain(paid[0])["payment"].get("payment_intent")) if paid else None
            return intent

    def charge(self, charge_id: str) -> StripeCharge:
        return self._read(StripeCharge, lambda v1: v1.charges.retrieve(charge_id))

    def dispute(self, dispute_id: str) -> StripeDispute:
        return self._read(StripeDispute, lambda v1: v1.disputes.retrieve(dispute_id))

    def dispute_statuses(self, intent_id: str) -> set[str]:
        """Of every dispute over this payment."""
        with self._v1() as v1:
            listed = v1.disputes.list({"payment_intent": intent_id, "limit": 100})
            return {each.status for each in listed.auto_paging_iter()}

    def read_refund(self, refund_id: str) -> StripeRefund:
        return self._read(StripeRefund, lambda v1: v1.refunds.retrieve(refund_id))

    def refunds_of(self, intent_id: str) -> tuple[StripeRefund, ...]:
        with self._v1() as v1:
            listed = v1.refunds.list({"payment_intent": intent_id, "limit": 100})
            return tuple(read(StripeRefund, each) for each in listed.auto_paging_iter())

    def refund(self, intent_id: str, key: str) -> None:
        """All that is left. What was given back or is disputed already stays as it is."""
        try:
            with self._v1() as v1:
                v1.refunds.create({"payment_intent": intent_id}, {"idempotency_key": key})
        except StripeStateConflict:
            structlog.get_logger().info("stripe_payment_was_given_back")

    def refund_part(self, intent_id: str, amount: int, key: str) -> None:
        """Raises StripeStateConflict when all of it went back already, or the cardholder's bank has it."""
        with self._v1() as v1:
            v1.refunds.create(
                {"payment_intent": intent_id, "amount": amount, "metadata": {REFUND_KEY: key}}, {"idempotency_key": key}
            )

    def create_intent(
        self, *, amount: int, currency: str, customer_id: str, metadata: dict[str, str], key: str
    ) -> StripeIntent:
        """Redirects are off, because the card is confirmed from here and nobody could follow one."""
        return self._read(
            StripeIntent,
            lambda v1: v1.payment_intents.create(
                {
                    "amount": amount,
                    "currency": currency,
                    "customer": customer_id,
                    "metadata": metadata,
                    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                    "expand": INTENT_PARTS,
                },
                {"idempotency_key": key},
            ),
        )

    def confirm_intent(self, intent_id: str, payment_method: str) -> StripeIntent:
        return self._read(
            StripeIntent,
            lambda v1: v1.payment_intents.confirm(
                intent_id, {"payment_method": payment_method, "expand": INTENT_PARTS}
            ),
        )

    def intent(self, intent_id: str) -> StripeIntent:
        return self._read(StripeIntent, lambda v1: v1.payment_intents.retrieve(intent_id, {"expand": INTENT_PARTS}))

    def cancel_intent(self, intent_id: str) -> StripeIntent:
        """As it is afterwards: one that was paid meanwhile stays paid."""
        try:
            return self._read(StripeIntent, lambda v1: v1.payment_intents.cancel(intent_id, {"expand": INTENT_PARTS}))
        except StripeStateConflict:
            return self.intent(intent_id)

    # Events

    def verified_event(
        self, body: bytes, signature: str | None, secrets: Sequence[str], now: datetime
    ) -> Mapping[str, Any]:
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
        with self._v1() as v1:
            listed = v1.events.list(
                {"delivery_success": False, "created": {"gte": int(since.timestamp())}, "limit": 100}
            )
            for event in listed.auto_paging_iter():
                yield plain(event)

    def webhook_endpoints(self) -> list[StripeWebhookEndpoint]:
        """Where Stripe sends events of this account and mode."""
        with self._v1() as v1:
            listed = v1.webhook_endpoints.list({"limit": 100})
            return [read(StripeWebhookEndpoint, each) for each in listed.auto_paging_iter()]

    @property
    def api_version(self) -> str:
        """Of the library: the version in which answers come."""
        version: str = library().api_version
        return version

    def _read(self, kind: type[Found], ask: "Callable[[stripe.V1Services], stripe.StripeObject]") -> Found:
        with self._v1() as v1:
            return read(kind, ask(v1))

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
    def _v1(self) -> "Iterator[stripe.V1Services]":
        """To ask Stripe, whose errors become ours. Their text stays out of answers; the log gets the request's id, never its body."""
        stripe = library()
        try:
            yield self._client().v1
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
            if error.code == "amount_too_small":
                raise AmountTooSmall from None
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


def read(kind: type[Found], made: "stripe.StripeObject") -> Found:
    return kind.model_validate(plain(made))


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


def read_event(body: bytes) -> Mapping[str, Any]:
    """What is believed of it: that something happened to one object. How that is now, is asked. Raises EventNotUsable."""
    try:
        event: dict[str, Any] = orjson.loads(body)
        if event["object"] == "v2.core.event":
            raise EventNotUsable(
                "This is a thin event. In Stripe's dashboard, give this endpoint a destination with the payload style Snapshot"
            )
        if event["object"] != "event" or "livemode" not in event:
            raise EventNotUsable("This is not an event")
        names = (event["id"], event["type"])
    except (ValueError, TypeError, KeyError):
        raise EventNotUsable("This is not an event") from None
    if not all(
        isinstance(text, str) and text.isascii() and text.isprintable() and 0 < len(text) <= 255 for text in names
    ):
        raise EventNotUsable("The id or the type of this event could not be read")
    return event
