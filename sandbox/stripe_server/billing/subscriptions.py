"""Subscriptions and their one item: begun, changed, paused, cancelled. Time's part is in `pass_time.py`."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from sandbox.stripe_server.billing.invoices import Invoices, amount_of, subscription_id
from sandbox.stripe_server.books import Books, Call, Card, Handlers, merged_metadata
from sandbox.stripe_server.payments.customers import Customers
from sandbox.stripe_server.products.catalogue import Catalogue, after_interval, plan_of
from sandbox.stripe_server.products.coupons import Coupons
from sandbox.stripe_server.protocol.refusals import CardDeclined, NoSuchObject, WrongParameter
from sandbox.stripe_server.protocol.response_shapes import Object, part

HOUR = 60 * 60
DAY = 24 * HOUR
INCOMPLETE_SECONDS = 23 * HOUR
"""How long a first payment and a pending update may take (docs.stripe.com/billing/subscriptions/pending-updates)."""
ENDED = frozenset({"canceled", "incomplete_expired"})
MAY_BE_PENDING = frozenset({"items", "payment_behavior", "proration_behavior", "cancel_at_period_end", "expand"})


class Subscriptions:
    def __init__(
        self, books: Books, catalogue: Catalogue, customers: Customers, invoices: Invoices, coupons: Coupons
    ) -> None:
        self._books = books
        self._coupons = coupons
        self._catalogue = catalogue
        self._customers = customers
        self._invoices = invoices
        invoices.when_paid.append(self._invoice_was_paid)
        customers.when_deleted.append(self._customer_was_deleted)
        books.includers["customer", "subscriptions"] = self._of_customer

    def handlers(self) -> Handlers:
        one = "/v1/subscriptions/{subscription_exposed_id}"
        return {
            ("post", "/v1/subscriptions"): self._create,
            ("get", one): lambda call: self._books.get("subscription", call.arguments[0]),
            ("post", one): self._update,
            ("delete", one): self._cancel,
            ("get", "/v1/subscriptions"): self._list,
            ("post", "/v1/subscriptions/{subscription}/pause"): self._pause,
            ("post", "/v1/subscriptions/{subscription}/resume"): self._resume,
        }

    def begin(
        self,
        customer: str,
        price: Object,
        *,
        card: Card | None,
        metadata: dict[str, str],
        trial_days: int | None = None,
        trial_settings: Object | None = None,
        quantity: int = 1,
        coupons: Sequence[Object] = (),
    ) -> Object:
        """With its first invoice. Without a card only a trial can begin. Raises WrongParameter for another currency."""
        self._keep_to_one_currency(customer, price)
        now = self._books.now()
        trial_end = now + trial_days * DAY if trial_days else None
        subscription_id_ = self._books.new_id("sub")
        period_end = trial_end or after_interval(now, price)
        item = self._item(subscription_id_, price, now, period_end, quantity)
        subscription = self._books.keep(
            "subscription",
            "sub",
            id=subscription_id_,
            automatic_tax=part("subscription", "AutomaticTax", enabled=False),
            billing_cycle_anchor=period_end if trial_end else now,
            billing_mode=part(
                "subscription", "BillingMode", type="flexible", flexible={"proration_discounts": "included"}
            ),
            billing_schedules=[],
            cancel_at_period_end=False,
            collection_method="charge_automatically",
            currency=price["currency"],
            customer=customer,
            discounts=[],
            invoice_settings=part("subscription", "InvoiceSettings", issuer={"type": "self"}),
            items={
                "object": "list",
                "url": f"/v1/subscription_items?subscription={subscription_id_}",
                "has_more": False,
                "data": [item],
            },
            metadata=metadata,
            start_date=now,
            status="trialing" if trial_end else "incomplete",
            trial_start=now if trial_end else None,
            trial_end=trial_end,
            trial_settings=trial_settings or {"end_behavior": {"missing_payment_method": "create_invoice"}},
            default_payment_method=None,
        )
        self._books.get("customer", customer)["currency"] = price["currency"]
        if card is not None:
            self._books.put_on_file(customer, card, self._books.expiries.get(customer))
        self._coupons.redeem(subscription, coupons)
        self._books.announce("customer.subscription.created", subscription)
        amount = 0 if trial_end else amount_of(item)
        invoice = self._invoices.open(subscription, "subscription_create", amount, (now, period_end))
        if card is not None:
            self._invoices.collect(invoice, card)
        return subscription

    def change(self, subscription: Object, **values: Any) -> None:
        before = deepcopy(subscription)
        subscription.update(values)
        if before != subscription:
            self._books.announce("customer.subscription.updated", subscription, before)

    def end(self, subscription: Object, reason: str = "cancellation_requested") -> None:
        """At once. An open first or renewal invoice is left behind, as Stripe does."""
        now = self._books.now()
        if subscription["schedule"]:
            schedule = self._books.get("subscription_schedule", subscription["schedule"])
            schedule.update(status="canceled", canceled_at=now)
        subscription.update(
            status="canceled",
            canceled_at=subscription["canceled_at"] or now,
            ended_at=now,
            pending_update=None,
            cancellation_details=part("subscription", "CancellationDetails", reason=reason),
        )
        self._books.announce("customer.subscription.deleted", subscription)

    def cancel_later(self, subscription: Object, *, flexible: bool) -> None:
        """Flexible, as the portal does it: only `cancel_at` says so."""
        self.change(
            subscription,
            cancel_at=item_of(subscription)["current_period_end"],
            cancel_at_period_end=not flexible,
            canceled_at=self._books.now(),
            cancellation_details=part("subscription", "CancellationDetails", reason="cancellation_requested"),
        )

    def keep_going(self, subscription: Object) -> None:
        self.change(
            subscription, cancel_at=None, cancel_at_period_end=False, canceled_at=None, cancellation_details=None
        )

    def switch(
        self,
        subscription: Object,
        price: Object,
        *,
        behavior: str = "allow_incomplete",
        prorate: bool = True,
        quantity: int | None = None,
    ) -> None:
        """To another price or quantity now, with an invoice for the difference, which becomes a credit when it is negative.

        Raises CardDeclined for `error_if_incomplete`.
        """
        self._keep_to_one_currency(subscription["customer"], price)
        before, now = deepcopy(subscription), self._books.now()
        item = item_of(subscription)
        old = item["price"]
        same_interval = old["recurring"] == price["recurring"]
        end = item["current_period_end"] if same_interval else after_interval(now, price)
        quantity = item["quantity"] if quantity is None else quantity
        amount = difference(item, price, quantity, now, same_interval=same_interval) if prorate else 0
        card = self._books.card_of(subscription["customer"], Card.GOOD)
        if behavior == "error_if_incomplete" and amount > 0 and card is not Card.GOOD:
            raise CardDeclined()
        set_price(item, price, quantity)
        if not same_interval:
            item.update(current_period_start=now, current_period_end=end)
            subscription["billing_cycle_anchor"] = now
        paid = True
        if amount and subscription["status"] != "trialing":
            invoice = self._invoices.open(subscription, "subscription_update", amount, (now, end))
            if behavior == "pending_if_incomplete" and invoice["status"] == "open" and card is not Card.GOOD:
                wanted = deepcopy(subscription["items"]["data"])
                subscription.clear()
                subscription.update(before)
                subscription["latest_invoice"] = invoice["id"]
                subscription["pending_update"] = part(
                    "subscription",
                    "PendingUpdate",
                    expires_at=now + INCOMPLETE_SECONDS,
                    subscription_items=wanted,
                )
                self._invoices.collect(invoice, card)
                self._books.announce("customer.subscription.updated", subscription, before)
                return
            paid = self._invoices.collect(invoice, card) or self._invoices.is_processing(invoice)
        if not paid and subscription["status"] == "active":
            subscription["status"] = "past_due"
        self._books.announce("customer.subscription.updated", subscription, before)

    def apply_pending(self, subscription: Object) -> None:
        before = deepcopy(subscription)
        pending = subscription["pending_update"]
        subscription["items"]["data"] = pending["subscription_items"]
        subscription["pending_update"] = None
        self._books.announce("customer.subscription.pending_update_applied", subscription)
        self._books.announce("customer.subscription.updated", subscription, before)

    def discount(self, subscription: Object, coupons: Sequence[Object]) -> None:
        """In place of the discounts that it has."""
        before = deepcopy(subscription)
        self._coupons.redeem(subscription, coupons)
        self._books.announce("customer.subscription.updated", subscription, before)

    def cancel_at(self, subscription: Object, at: int) -> None:
        """At any time that is still to come, within this period or in a later one. Raises WrongParameter."""
        if at <= self._books.now():
            raise WrongParameter("The cancel_at timestamp must be in the future.", param="cancel_at")
        self.change(subscription, cancel_at=at, cancel_at_period_end=False, canceled_at=self._books.now())

    def _keep_to_one_currency(self, customer: str, price: Object) -> None:
        """Raises WrongParameter. Stripe gives this error no code."""
        for known in self._books.all("subscription", customer=customer):
            if known["status"] not in ENDED and known["currency"] != price["currency"]:
                raise WrongParameter(
                    "You cannot combine currencies on a single customer. This customer has an active subscription,"
                    f" subscription schedule, discount, quote, or invoice item with currency {known['currency']}."
                )

    def running(self, object_id: str) -> Object:
        subscription = self._books.get("subscription", object_id)
        if subscription["status"] in ENDED:
            raise NoSuchObject("subscription", object_id)
        return subscription

    def _item(self, subscription: str, price: Object, start: int, end: int, quantity: int = 1) -> Object:
        return self._books.keep(
            "subscription_item",
            "si",
            current_period_start=start,
            current_period_end=end,
            discounts=[],
            metadata={},
            plan=plan_of(price),
            price=deepcopy(price),
            quantity=quantity,
            subscription=subscription,
            tax_rates=[],
        )

    def _create(self, call: Call) -> Object:
        call.imitated(
            "customer", "items", "metadata", "trial_period_days", "trial_settings", "payment_behavior", "discounts"
        )
        if "customer" not in call.params or not call.params.get("items"):
            raise WrongParameter("Missing required param: items or customer.", code="parameter_missing")
        customer = self._customers.existing(call.params["customer"])["id"]
        price = self._catalogue.sold(call.params["items"][0].get("price", ""), "items[0][price]")
        if price["recurring"] is None:
            raise WrongParameter("The price is not recurring.", param="items[0][price]")
        return self.begin(
            customer,
            price,
            card=self._books.card_of(customer, Card.GOOD),
            metadata=dict(call.params.get("metadata", {})),
            trial_days=call.params.get("trial_period_days"),
            trial_settings=call.params.get("trial_settings"),
            quantity=call.params["items"][0].get("quantity", 1),
            coupons=self._coupons.asked_for(call.params.get("discounts") or ()),
        )

    def _update(self, call: Call) -> Object:
        call.imitated(
            "items",
            "cancel_at_period_end",
            "cancel_at",
            "metadata",
            "proration_behavior",
            "payment_behavior",
            "pause_collection",
            "discounts",
        )
        params = call.params
        subscription = self._books.get("subscription", call.arguments[0])
        if subscription["status"] in ENDED and params.keys() - {"metadata", "expand"}:
            raise WrongParameter("A canceled subscription can only update its cancellation_details and metadata.")
        if params.get("cancel_at") and params.get("cancel_at_period_end"):
            raise WrongParameter("You may only specify one of cancel_at, cancel_at_period_end.", param="cancel_at")
        if subscription["schedule"] and params.keys() & {"cancel_at", "cancel_at_period_end"}:
            raise WrongParameter(
                f"The subscription is managed by the subscription schedule `{subscription['schedule']}`, and updating any"
                " cancelation behavior directly is not allowed. Please update the schedule instead."
            )
        behavior = params.get("payment_behavior", "allow_incomplete")
        if behavior == "pending_if_incomplete" and (alien := params.keys() - MAY_BE_PENDING):
            raise WrongParameter(
                "When payment_behavior is pending_if_incomplete, only supported parameters can be passed.",
                param=sorted(alien)[0],
            )
        if "metadata" in params:
            self.change(subscription, metadata=merged_metadata(subscription["metadata"], params["metadata"]))
        if "pause_collection" in params:
            paused = params["pause_collection"]
            self.change(
                subscription, pause_collection=part("subscription", "PauseCollection", **paused) if paused else None
            )
        if params.get("discounts") == "":
            self.discount(subscription, [])
        elif params.get("discounts"):
            self.discount(subscription, self._coupons.asked_for(params["discounts"]))
        self._update_cancellation(subscription, params)
        if "items" in params:
            self._update_items(subscription, params, behavior)
        return subscription

    def _update_cancellation(self, subscription: Object, params: Any) -> None:
        if params.get("cancel_at_period_end") is True:
            self.cancel_later(subscription, flexible=False)
        elif params.get("cancel_at_period_end") is False and subscription["cancel_at_period_end"]:
            self.keep_going(subscription)
        if params.get("cancel_at") == "":
            self.keep_going(subscription)
        elif "cancel_at" in params:
            self.cancel_at(subscription, params["cancel_at"])

    def _update_items(self, subscription: Object, params: Any, behavior: str) -> None:
        changes = params["items"]
        item = item_of(subscription)
        if len(changes) != 1 or changes[0].get("id") != item["id"]:
            known = {each["id"] for each in subscription["items"]["data"]}
            if any(change.get("id") not in known | {None} for change in changes):
                raise NoSuchObject("subscription_item", str(changes[0].get("id")), "items[0][id]")
            # Without the item's id the price is added beside the old one: both would be billed.
            price = self._catalogue.sold(changes[0]["price"], "items[0][price]")
            period = item["current_period_start"], item["current_period_end"]
            subscription["items"]["data"].append(self._item(subscription["id"], price, *period))
            self._books.announce("customer.subscription.updated", subscription, {})
            return
        price = self._catalogue.sold(changes[0].get("price", item["price"]["id"]), "items[0][price]")
        prorate = params.get("proration_behavior", "create_prorations") == "always_invoice"
        self.switch(subscription, price, behavior=behavior, prorate=prorate, quantity=changes[0].get("quantity"))

    def _cancel(self, call: Call) -> Object:
        call.imitated("prorate", "invoice_now", "cancellation_details")
        subscription = self.running(call.arguments[0])
        self.end(subscription)
        return subscription

    def _pause(self, call: Call) -> Object:
        subscription = self.running(call.arguments[0])
        self.change(subscription, status="paused")
        self._books.announce("customer.subscription.paused", subscription)
        return subscription

    def _resume(self, call: Call) -> Object:
        call.imitated("billing_cycle_anchor", "proration_behavior")
        subscription = self.running(call.arguments[0])
        if subscription["status"] != "paused":
            raise WrongParameter("This subscription is not paused.")
        self.change(subscription, status="active")
        self._books.announce("customer.subscription.resumed", subscription)
        return subscription

    def _list(self, call: Call) -> Object:
        call.imitated("customer", "status", "price", "limit", "starting_after", "ending_before", "created")
        equal = self._books.named(call, "customer")
        wanted = call.params.get("status")

        def fits(subscription: Object) -> bool:
            status = subscription["status"]
            if wanted is None:
                return bool(status != "canceled")
            if wanted == "ended":
                return status in ENDED
            return bool(wanted in {"all", status})

        found = (each for each in self._books.all("subscription", **equal) if fits(each))
        price = call.params.get("price")
        return self._books.page(call, (each for each in found if price in {None, item_of(each)["price"]["id"]}))

    def _of_customer(self, call: Call) -> Object:
        found = self._books.all("subscription", customer=call.arguments[0])
        return self._books.page(call, (each for each in found if each["status"] not in ENDED))

    def _customer_was_deleted(self, customer: Object) -> None:
        for subscription in list(self._books.all("subscription", customer=customer["id"])):
            if subscription["status"] not in ENDED:
                self.end(subscription)

    def _invoice_was_paid(self, invoice: Object) -> None:
        """The debt is gone: what waited for it goes on. Nothing revives a subscription that has ended."""
        subscription = self._books.objects.get(subscription_id(invoice) or "")
        if subscription is None or subscription["status"] in ENDED:
            return
        if subscription["pending_update"] and invoice["billing_reason"] == "subscription_update":
            self.apply_pending(subscription)
        if subscription["status"] in {"incomplete", "past_due", "unpaid"}:
            self.change(subscription, status="active")


def item_of(subscription: Object) -> Object:
    item: Object = subscription["items"]["data"][0]
    return item


def set_price(item: Object, price: Object, quantity: int) -> None:
    item.update(price=deepcopy(price), plan=plan_of(price), quantity=quantity)


def difference(item: Object, price: Object, quantity: int, now: int, *, same_interval: bool) -> int:
    """What a switch costs now: the rest of the period at the new price less the rest at the old one."""
    start, end = item["current_period_start"], item["current_period_end"]
    rest: float = (end - now) / (end - start)
    unused, whole = round(amount_of(item) * rest), price["unit_amount"] * quantity
    needed: int = round(whole * rest) if same_interval else whole
    return needed - unused
