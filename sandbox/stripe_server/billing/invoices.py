"""Invoices of subscriptions: opened, collected, paid later, given up."""

from copy import deepcopy

from sandbox.stripe_server.books import Books, Call, Card, Handlers, Listener
from sandbox.stripe_server.payments.charging import Charging
from sandbox.stripe_server.payments.customers import Customers
from sandbox.stripe_server.products.coupons import Coupons
from sandbox.stripe_server.protocol.refusals import CardDeclined, NoSuchObject, WrongParameter
from sandbox.stripe_server.protocol.response_shapes import Object, part, shaped

DAY = 24 * 60 * 60
RETRY_AFTER_DAYS = (3, 5, 7)
"""Between the attempts to collect a failed renewal. The real number is chosen by Stripe (Smart Retries)."""


class Invoices:
    def __init__(self, books: Books, charging: Charging, customers: Customers, coupons: Coupons) -> None:
        self._books = books
        self._charging = charging
        self._customers = customers
        self._coupons = coupons
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
        """Finalised at once, and paid at once when there is nothing to pay. A negative amount becomes the customer's credit."""
        customer = self._books.get("customer", subscription["customer"])
        taken = self._coupons.take_off(subscription, amount) if amount > 0 else []
        total = amount - sum(each["amount"] for each in taken)
        starting = customer["balance"]
        due = max(0, total + starting) if total else 0
        invoice_id = self._books.new_id("in")
        invoice = self._books.keep(
            "invoice",
            "in",
            id=invoice_id,
            **self._of_subscription(subscription, reason, amount, period, invoice_id),
            amount_due=due,
            amount_remaining=due,
            discounts=[each["discount"] for each in taken],
            ending_balance=total + starting - due if total else starting,
            starting_balance=starting,
            status="open",
            status_transitions=part("invoice", "StatusTransitions", finalized_at=self._books.now()),
            subtotal=amount,
            total=total,
            total_discount_amounts=taken,
        )
        subscription["latest_invoice"] = invoice_id
        if invoice["ending_balance"] != starting:
            change = invoice["ending_balance"] - starting
            self._customers.add_to_balance(customer, change, "applied_to_invoice", invoice_id)
        self._books.announce("invoice.created", invoice)
        self._books.announce("invoice.finalized", invoice)
        if due:
            self._add_payment(invoice, subscription)
        else:
            self._mark_paid(invoice)
        return invoice

    def announce_upcoming(self, subscription: Object, *, older: bool = False) -> Object:
        """What Stripe sends some days before a renewal: an invoice that does not exist yet, so it has no id.

        `older`: in the shape of endpoints of before 2025-03-31, which name the subscription at the top.
        """
        item = subscription["items"]["data"][0]
        amount, end = amount_of(item), item["current_period_end"]
        period = (item["current_period_start"], end)
        values = self._of_subscription(subscription, "upcoming", amount, period, "upcoming_in")
        return self._announce_upcoming(values, amount, end, older=older)

    def announce_upcoming_one_off(self, customer: str, amount: int, currency: str, *, older: bool = False) -> Object:
        """As `announce_upcoming`, for invoice items that belong to no subscription."""
        lines = {"object": "list", "url": "/v1/invoices/upcoming/lines", "has_more": False, "data": []}
        values = {**self._usual("upcoming", customer, currency), "lines": lines, "parent": None}
        return self._announce_upcoming(values, amount, self._books.now(), older=older)

    def _announce_upcoming(self, values: Object, amount: int, at: int, *, older: bool) -> Object:
        invoice = shaped(
            "invoice",
            **values,
            id="upcoming_in",
            amount_due=amount,
            amount_remaining=amount,
            created=at,
            discounts=[],
            livemode=self._books.livemode,
            next_payment_attempt=at,
            starting_balance=0,
            status="draft",
            status_transitions=part("invoice", "StatusTransitions"),
            subtotal=amount,
            total=amount,
        )
        del invoice["id"]
        if older:
            parent = invoice.pop("parent")
            invoice["subscription"] = parent and parent["subscription_details"]["subscription"]
        return self._books.announce("invoice.upcoming", invoice)

    def _of_subscription(
        self, subscription: Object, reason: str, amount: int, period: tuple[int, int], invoice_id: str
    ) -> Object:
        item = subscription["items"]["data"][0]
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
        details = part(
            "invoice",
            "Parent.SubscriptionDetails",
            subscription=subscription["id"],
            metadata=deepcopy(subscription["metadata"]),
        )
        return {
            **self._usual(reason, subscription["customer"], subscription["currency"]),
            "lines": {"object": "list", "url": f"/v1/invoices/{invoice_id}/lines", "has_more": False, "data": [line]},
            "parent": part("invoice", "Parent", type="subscription_details", subscription_details=details),
        }

    def _usual(self, reason: str, customer: str, currency: str) -> Object:
        now = self._books.now()
        return {
            "amount_overpaid": 0,
            "amount_paid": 0,
            "amount_shipping": 0,
            "attempt_count": 0,
            "attempted": False,
            "auto_advance": True,
            "automatic_tax": part("invoice", "AutomaticTax", enabled=False),
            "billing_reason": reason,
            "collection_method": "charge_automatically",
            "currency": currency,
            "customer": customer,
            "default_tax_rates": [],
            "issuer": part("invoice", "Issuer", type="self"),
            "metadata": {},
            "payment_settings": part("invoice", "PaymentSettings"),
            "period_end": now,
            "period_start": now,
            "post_payment_credit_notes_amount": 0,
            "pre_payment_credit_notes_amount": 0,
        }

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
            invoice["next_payment_attempt"] = None
        else:
            self._not_paid(invoice, intent)
        return False

    def is_processing(self, invoice: Object) -> bool:
        """Whether a bank has yet to say what became of its debit."""
        return bool(invoice["status"] == "open" and self.intent_of(invoice)["status"] == "processing")

    def of_intent(self, intent_id: str) -> Object | None:
        for payment in self._books.all("invoice_payment"):
            if payment["payment"]["payment_intent"] == intent_id:
                return self._books.get("invoice", payment["invoice"])
        return None

    def charge_of(self, invoice: Object) -> Object:
        """The last charge. Raises NoSuchObject for an invoice that cost nothing or was never tried."""
        if not any(self._books.all("invoice_payment", invoice=invoice["id"])):
            raise NoSuchObject("charge", f"of {invoice['id']}")
        return self._books.get("charge", self.intent_of(invoice)["latest_charge"] or "")

    def _not_paid(self, invoice: Object, intent: Object) -> None:
        attempts = invoice["attempt_count"]
        renewal = invoice["billing_reason"] == "subscription_cycle"
        more = renewal and attempts <= len(RETRY_AFTER_DAYS)
        invoice["next_payment_attempt"] = self._books.now() + RETRY_AFTER_DAYS[attempts - 1] * DAY if more else None
        if intent["status"] == "requires_action":
            self._books.announce("invoice.payment_action_required", invoice)
        self._books.announce("invoice.payment_failed", invoice)

    def settle(self, invoice: Object, *, succeeded: bool) -> None:
        """A bank debit came in, or did not; a customer passed 3-D Secure, or did not."""
        intent = self.intent_of(invoice)
        if succeeded:
            self._charging.succeed(intent)
            self._mark_paid(invoice)
        else:
            self._charging.fail(intent)
            self._not_paid(invoice, intent)

    def void(self, invoice: Object) -> None:
        invoice.update(status="void", next_payment_attempt=None)
        invoice["status_transitions"]["voided_at"] = self._books.now()
        if (credit := invoice["starting_balance"] - invoice["ending_balance"]) and invoice["total"] > 0:
            customer = self._books.get("customer", invoice["customer"])
            self._customers.add_to_balance(customer, credit, "unapplied_from_invoice", invoice["id"])
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
        self.pay(invoice, self._books.card_of(invoice["customer"], Card.GOOD))
        return invoice

    def pay(self, invoice: Object, card: Card) -> None:
        """By our request or on the invoice's own page, also long after its subscription has ended.

        Raises WrongParameter, CardDeclined.
        """
        if invoice["status"] == "paid":
            raise WrongParameter("Invoice is already paid", code="invoice_already_paid")
        if invoice["status"] not in {"open", "uncollectible"}:
            raise WrongParameter("Invoice is no longer payable", code="invoice_not_payable")
        if not self.collect(invoice, card) and not self.is_processing(invoice):
            raise CardDeclined(self.intent_of(invoice)["last_payment_error"])

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
        found = self._books.all("invoice", **self._books.named(call, "customer", "status"))
        wanted = call.params.get("subscription")
        return self._books.page(call, (each for each in found if wanted in {None, subscription_id(each)}))

    def _list_payments(self, call: Call) -> Object:
        call.imitated("invoice", "payment", "status", "limit", "starting_after", "ending_before", "created")
        found = self._books.all("invoice_payment", **self._books.named(call, "invoice", "status"))
        intent = call.params.get("payment", {}).get("payment_intent")
        return self._books.page(call, (each for each in found if intent in {None, each["payment"]["payment_intent"]}))

    def _retrieve_payment(self, call: Call) -> Object:
        return self._books.get("invoice_payment", call.arguments[0])

    def _payments_of(self, call: Call) -> Object:
        return self._books.page(call, self._books.all("invoice_payment", invoice=call.arguments[0]))


def amount_of(item: Object) -> int:
    """A period of a subscription's item."""
    amount: int = item["price"]["unit_amount"] * item["quantity"]
    return amount


def subscription_id(invoice: Object) -> str | None:
    parent = invoice["parent"]
    return None if parent is None else str(parent["subscription_details"]["subscription"])
