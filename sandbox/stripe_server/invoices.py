"""Invoices of subscriptions: opened, collected, paid later, given up."""

from copy import deepcopy

from sandbox.stripe_server.books import Books, Call, Card, Handlers, Listener
from sandbox.stripe_server.charging import Charging
from sandbox.stripe_server.refusals import CardDeclined, WrongParameter
from sandbox.stripe_server.response_shapes import Object, part, shaped

DAY = 24 * 60 * 60
RETRY_AFTER_DAYS = (3, 5, 7)
"""Between the attempts to collect a failed renewal. The real number is chosen by Stripe (Smart Retries)."""


class Invoices:

    def __init__(self, books: Books, charging: Charging) -> None:
        self._books = books
        self._charging = charging
        self.when_paid: list[Listener] = []
        books.includers["invoice", "payments"] = self._payments_of

    def handlers(self) -> Handlers:
        return {
            ("get", "/v1/invoices/{invoice}"): lambda call: self._books.get("invoice", call.arguments[0]),
            ("get", "/v1/invoices"): self._list,
            ("post", "/v1/invoices/{invoice}/pay"): self._pay,
            ("post", "/v1/invoices/{invoice}/void"): self._void,
            ("post", "/v1/invoices/{invoice}/mark_uncollectible"): self._mark_uncollectible,
            ("get", "/v1/invoice_payments"): self._list_payments,
            ("get", "/v1/invoice_payments/{invoice_payment}"): self._retrieve_payment,
        }

    def open(self, subscription: Object, reason: str, amount: int, period: tuple[int, int]) -> Object:
        """Finalised at once, and paid at once when there is nothing to pay."""
        now = self._books.now()
        item = subscription["items"]["data"][0]
        invoice_id = self._books.new_id("in")
        line = shaped(
            "line_item",
            id=self._books.new_id("il"),
            amount=amount,
            currency=subscription["currency"],
            discountable=True,
            discounts=[],
            invoice=invoice_id,
            livemode=self._books.livemode,
            metadata=deepcopy(subscription["metadata"]),
            period={"start": period[0], "end": period[1]},
            pricing=part(
                "line_item",
                "Pricing",
                type="price_details",
                price_details={"price": item["price"]["id"], "product": item["price"]["product"]},
                unit_amount_decimal=item["price"]["unit_amount_decimal"],
            ),
            quantity=item["quantity"],
            subscription=subscription["id"],
            subtotal=amount,
        )
        invoice = self._books.keep(
            "invoice",
            "in",
            id=invoice_id,
            amount_due=amount,
            amount_overpaid=0,
            amount_paid=0,
            amount_remaining=amount,
            amount_shipping=0,
            attempt_count=0,
            attempted=False,
            auto_advance=True,
            automatic_tax=part("invoice", "AutomaticTax", enabled=False),
            billing_reason=reason,
            collection_method="charge_automatically",
            currency=subscription["currency"],
            customer=subscription["customer"],
            default_tax_rates=[],
            discounts=[],
            issuer=part("invoice", "Issuer", type="self"),
            lines={"object": "list", "url": f"/v1/invoices/{invoice_id}/lines", "has_more": False, "data": [line]},
            metadata={},
            parent=part(
                "invoice",
                "Parent",
                type="subscription_details",
                subscription_details=part(
                    "invoice",
                    "Parent.SubscriptionDetails",
                    subscription=subscription["id"],
                    metadata=deepcopy(subscription["metadata"]),
                ),
            ),
            payment_settings=part("invoice", "PaymentSettings"),
            period_end=now,
            period_start=now,
            post_payment_credit_notes_amount=0,
            pre_payment_credit_notes_amount=0,
            starting_balance=0,
            status="open",
            status_transitions=part("invoice", "StatusTransitions", finalized_at=now),
            subtotal=amount,
            total=amount,
        )
        subscription["latest_invoice"] = invoice_id
        self._books.announce("invoice.created", invoice)
        self._books.announce("invoice.finalized", invoice)
        if amount:
            self._add_payment(invoice, subscription)
        else:
            self._mark_paid(invoice)
        return invoice

    def collect(self, invoice: Object, card: Card) -> bool:
        """Try the card. A failure sets the time of the next attempt, if there is one."""
        if invoice["status"] == "paid":
            return True
        invoice.update(attempt_count=invoice["attempt_count"] + 1, attempted=True)
        intent = self.intent_of(invoice)
        if self._charging.try_card(intent, card):
            self._mark_paid(invoice)
            return True
        if intent["status"] == "processing":
            return False
        attempts = invoice["attempt_count"]
        renewal = invoice["billing_reason"] == "subscription_cycle"
        more = renewal and attempts <= len(RETRY_AFTER_DAYS)
        invoice["next_payment_attempt"] = self._books.now() + RETRY_AFTER_DAYS[attempts - 1] * DAY if more else None
        if intent["status"] == "requires_action":
            self._books.announce("invoice.payment_action_required", invoice)
        self._books.announce("invoice.payment_failed", invoice)
        return False

    def settle(self, invoice: Object, *, succeeded: bool) -> None:
        """A bank debit came in, or did not; a customer passed 3-D Secure, or did not."""
        intent = self.intent_of(invoice)
        if succeeded:
            self._charging.succeed(intent)
            self._mark_paid(invoice)
        else:
            self._charging.fail_authentication(intent)
            self._books.announce("invoice.payment_failed", invoice)

    def void(self, invoice: Object) -> None:
        invoice.update(status="void", next_payment_attempt=None)
        invoice["status_transitions"]["voided_at"] = self._books.now()
        self._books.announce("invoice.voided", invoice)

    def intent_of(self, invoice: Object) -> Object:
        payment = next(self._books.all("invoice_payment", invoice=invoice["id"]))
        return self._books.get("payment_intent", payment["payment"]["payment_intent"])

    def _add_payment(self, invoice: Object, subscription: Object) -> None:
        intent = self._charging.open_intent(invoice["amount_due"], invoice["currency"], subscription["customer"], {})
        self._books.keep(
            "invoice_payment",
            "inpay",
            amount_requested=invoice["amount_due"],
            currency=invoice["currency"],
            invoice=invoice["id"],
            is_default=True,
            payment=part("invoice_payment", "Payment", type="payment_intent", payment_intent=intent["id"]),
            status="open",
            status_transitions=part("invoice_payment", "StatusTransitions"),
        )
        invoice["confirmation_secret"] = {"type": "payment_intent", "client_secret": intent["client_secret"]}

    def _mark_paid(self, invoice: Object) -> None:
        now = self._books.now()
        invoice.update(
            status="paid",
            amount_paid=invoice["amount_due"],
            amount_remaining=0,
            next_payment_attempt=None,
            attempted=True,
        )
        invoice["status_transitions"]["paid_at"] = now
        for payment in self._books.all("invoice_payment", invoice=invoice["id"]):
            payment.update(status="paid", amount_paid=payment["amount_requested"])
            payment["status_transitions"]["paid_at"] = now
            self._books.announce("invoice_payment.paid", payment)
        self._books.announce("invoice.paid", invoice)
        self._books.announce("invoice.payment_succeeded", invoice)
        for listener in self.when_paid:
            listener(invoice)

    def _pay(self, call: Call) -> Object:
        call.imitated("payment_method", "off_session")
        invoice = self._books.get("invoice", call.arguments[0])
        if invoice["status"] == "paid":
            raise WrongParameter("Invoice is already paid", code="invoice_already_paid")
        if invoice["status"] not in {"open", "uncollectible"}:
            raise WrongParameter("Invoice is no longer payable", code="invoice_not_payable")
        if not self.collect(invoice, self._books.cards.get(invoice["customer"], Card.GOOD)):
            raise CardDeclined()
        return invoice

    def _void(self, call: Call) -> Object:
        invoice = self._books.get("invoice", call.arguments[0])
        if invoice["status"] not in {"open", "uncollectible"}:
            raise WrongParameter(f"You can only void open invoices; this one is {invoice['status']}.")
        self.void(invoice)
        return invoice

    def _mark_uncollectible(self, call: Call) -> Object:
        invoice = self._books.get("invoice", call.arguments[0])
        if invoice["status"] != "open":
            raise WrongParameter(f"Only open invoices can be marked uncollectible; this one is {invoice['status']}.")
        invoice.update(status="uncollectible", next_payment_attempt=None)
        invoice["status_transitions"]["marked_uncollectible_at"] = self._books.now()
        self._books.announce("invoice.marked_uncollectible", invoice)
        return invoice

    def _list(self, call: Call) -> Object:
        call.imitated("customer", "subscription", "status", "limit", "starting_after", "ending_before", "created")
        equal = {name: call.params[name] for name in ("customer", "status") if name in call.params}
        found = self._books.all("invoice", **equal)
        wanted = call.params.get("subscription")
        return self._books.page(call, (each for each in found if wanted in {None, subscription_id(each)}))

    def _list_payments(self, call: Call) -> Object:
        call.imitated("invoice", "payment", "status", "limit", "starting_after", "ending_before", "created")
        equal = {name: call.params[name] for name in ("invoice", "status") if name in call.params}
        found = self._books.all("invoice_payment", **equal)
        intent = call.params.get("payment", {}).get("payment_intent")
        return self._books.page(call, (each for each in found if intent in {None, each["payment"]["payment_intent"]}))

    def _retrieve_payment(self, call: Call) -> Object:
        return self._books.get("invoice_payment", call.arguments[0])

    def _payments_of(self, call: Call) -> Object:
        return self._books.page(call, self._books.all("invoice_payment", invoice=call.arguments[0]))


def subscription_id(invoice: Object) -> str | None:
    parent = invoice["parent"]
    return None if parent is None else str(parent["subscription_details"]["subscription"])
