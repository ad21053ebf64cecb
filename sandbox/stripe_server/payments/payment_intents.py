"""Payments that stand for themselves. Test cards are named as Stripe names them: `pm_card_visa`."""

from copy import deepcopy
from typing import Any

from sandbox.stripe_server.books import Books, Call, Card, Handlers, merged_metadata
from sandbox.stripe_server.payments.charging import Charging
from sandbox.stripe_server.payments.customers import Customers
from sandbox.stripe_server.protocol.refusals import CardDeclined, NoSuchObject, WrongParameter
from sandbox.stripe_server.protocol.response_shapes import Object, part

TEST_CARDS = {
    "pm_card_visa": Card.GOOD,
    "pm_card_chargeDeclined": Card.DECLINED,
    "pm_card_chargeDeclinedExpiredCard": Card.EXPIRED,
    "pm_card_authenticationRequired": Card.NEEDS_AUTHENTICATION,
    "pm_usBankAccount_success": Card.BANK_DEBIT,
    "pm_usBankAccount_insufficientFunds": Card.BOUNCING_DEBIT,
}
CREATED_WITH = (
    "amount",
    "currency",
    "customer",
    "metadata",
    "description",
    "receipt_email",
    "automatic_payment_methods",
    "capture_method",
    "payment_method",
    "confirm",
)
CHANGED_WITH = ("amount", "currency", "metadata", "description", "receipt_email", "payment_method", "customer")
SMALLEST_AMOUNT = 50
LARGEST_AMOUNT = 99_999_999
UNCONFIRMED = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})


class PaymentIntents:
    def __init__(self, books: Books, charging: Charging, customers: Customers) -> None:
        self._books = books
        self._charging = charging
        self._customers = customers

    def handlers(self) -> Handlers:
        one = "/v1/payment_intents/{intent}"
        return {
            ("post", "/v1/payment_intents"): self._create,
            ("get", one): self._retrieve,
            ("post", one): self._update,
            ("post", one + "/confirm"): self._confirm,
            ("post", one + "/cancel"): self._cancel,
            ("post", one + "/capture"): self._capture,
            ("get", "/v1/payment_intents"): self._list,
            ("get", "/v1/charges/{charge}"): lambda call: self._books.get("charge", call.arguments[0]),
            ("get", "/v1/charges"): self._list_charges,
        }

    def authenticate(self, intent: Object, *, passed: bool) -> None:
        """The customer's 3-D Secure, or the end of a bank debit."""
        if passed:
            self._charging.succeed(intent)
        else:
            self._charging.fail(intent)

    def pay_late(self, intent: Object) -> None:
        """The customer's money comes although the payment was cancelled, or while that is going on: their bank had it already."""
        if intent["status"] == "succeeded":
            raise self._unexpected(intent, "paid")
        intent.update(canceled_at=None, cancellation_reason=None)
        self._charging.succeed(intent)

    def _create(self, call: Call) -> Object:
        call.imitated(*CREATED_WITH)
        params = call.params
        check_amount(params["amount"])
        customer = self._customers.existing(params["customer"])["id"] if "customer" in params else None
        intent = self._charging.open_intent(
            params["amount"], params["currency"].lower(), customer, dict(params.get("metadata", {}))
        )
        methods = params.get("automatic_payment_methods")
        intent.update(
            capture_method=params.get("capture_method", "automatic_async"),
            automatic_payment_methods=part("payment_intent", "AutomaticPaymentMethods", **methods) if methods else None,
            description=params.get("description"),
            receipt_email=params.get("receipt_email"),
        )
        if "payment_method" in params:
            self._attach(intent, params["payment_method"])
        if params.get("confirm"):
            self._try(intent, params)
        return intent

    def _retrieve(self, call: Call) -> Object:
        call.imitated("client_secret")
        return self._books.get("payment_intent", call.arguments[0])

    def _update(self, call: Call) -> Object:
        call.imitated(*CHANGED_WITH)
        intent, params = self._unconfirmed(call, "updated"), call.params
        if "amount" in params:
            check_amount(params["amount"])
        for name in params.keys() - {"metadata", "payment_method", "expand"}:
            intent[name] = params[name]
        intent["metadata"] = merged_metadata(intent["metadata"], params.get("metadata"))
        if "payment_method" in params:
            self._attach(intent, params["payment_method"])
        return intent

    def _confirm(self, call: Call) -> Object:
        call.imitated("payment_method", "return_url", "off_session", "receipt_email")
        intent = self._unconfirmed(call, "confirmed")
        self._refuse_of_checkout(intent, "confirm")
        if "payment_method" in call.params:
            self._attach(intent, call.params["payment_method"])
        self._try(intent, call.params)
        return intent

    def _try(self, intent: Object, params: Any) -> None:
        if intent["payment_method"] is None:
            raise WrongParameter(
                "You cannot confirm this PaymentIntent because it's missing a payment method.",
                code="payment_intent_unexpected_state",
            )
        methods = intent["automatic_payment_methods"]
        if (methods is None or methods["allow_redirects"] != "never") and "return_url" not in params:
            raise WrongParameter(
                "This PaymentIntent is configured to accept payment methods that redirect: give a `return_url`, or set"
                " `automatic_payment_methods[allow_redirects]` to `never`.",
                param="return_url",
            )
        self._charging.try_card(intent, TEST_CARDS[intent["payment_method"]])
        if intent["status"] == "requires_payment_method":
            raise CardDeclined(
                intent["last_payment_error"],
                payment_intent=deepcopy(intent),
                charge=intent["latest_charge"],
                doc_url="https://docs.stripe.com/declines",
            )

    def _cancel(self, call: Call) -> Object:
        call.imitated("cancellation_reason")
        intent = self._books.get("payment_intent", call.arguments[0])
        if intent["status"] != "requires_capture":
            self._refuse_of_checkout(intent, "cancel")
        if intent["status"] not in UNCONFIRMED | {"requires_capture", "processing"}:
            raise self._unexpected(intent, "canceled")
        intent.update(
            status="canceled",
            canceled_at=self._books.now(),
            cancellation_reason=call.params.get("cancellation_reason"),
            next_action=None,
            amount_capturable=0,
        )
        self._books.announce("payment_intent.canceled", intent)
        return intent

    def _capture(self, call: Call) -> Object:
        call.imitated()
        intent = self._books.get("payment_intent", call.arguments[0])
        if intent["status"] != "requires_capture":
            raise self._unexpected(intent, "captured")
        self._charging.succeed(intent)
        return intent

    def _unconfirmed(self, call: Call, done: str) -> Object:
        intent = self._books.get("payment_intent", call.arguments[0])
        if intent["status"] not in UNCONFIRMED:
            raise self._unexpected(intent, done)
        return intent

    def _refuse_of_checkout(self, intent: Object, what: str) -> None:
        """docs.stripe.com/api/checkout/sessions/object, `payment_intent`."""
        if any(self._books.all("checkout.session", payment_intent=intent["id"])):
            raise WrongParameter(f"You cannot {what} the PaymentIntent for a Checkout Session.")

    def _unexpected(self, intent: Object, done: str) -> WrongParameter:
        return WrongParameter(
            f"This PaymentIntent could not be {done} because it has a status of {intent['status']}.",
            code="payment_intent_unexpected_state",
            payment_intent=deepcopy(intent),
        )

    def _attach(self, intent: Object, method: str) -> None:
        if method not in TEST_CARDS:
            raise NoSuchObject("PaymentMethod", method, "payment_method")
        intent.update(payment_method=method, status="requires_confirmation", next_action=None)

    def _list(self, call: Call) -> Object:
        call.imitated("customer", "limit", "starting_after", "ending_before", "created")
        equal = self._books.named(call, "customer")
        return self._books.page(call, self._books.all("payment_intent", **equal))

    def _list_charges(self, call: Call) -> Object:
        names = ("customer", "payment_intent")
        call.imitated(*names, "limit", "starting_after", "ending_before", "created")
        equal = self._books.named(call, *names)
        return self._books.page(call, self._books.all("charge", **equal))


def check_amount(amount: int) -> None:
    if amount < SMALLEST_AMOUNT:
        raise WrongParameter("Amount must convert to at least 50 cents.", param="amount", code="amount_too_small")
    if amount > LARGEST_AMOUNT:
        raise WrongParameter("Amount must be no more than $999,999.99", param="amount", code="amount_too_large")
