"""What time alone does: renewals, ends of trials, retries of failed payments, cancellations, expiries."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from sandbox.stripe_server.billing.invoices import Invoices, amount_of, subscription_id
from sandbox.stripe_server.billing.schedules import Schedules
from sandbox.stripe_server.billing.subscriptions import (
    DAY,
    ENDED,
    INCOMPLETE_SECONDS,
    Subscriptions,
    item_of,
    set_price,
)
from sandbox.stripe_server.books import Books, Card
from sandbox.stripe_server.hosted_pages.checkout import Checkout
from sandbox.stripe_server.payments.charging import Charging
from sandbox.stripe_server.products.catalogue import after_interval
from sandbox.stripe_server.protocol.response_shapes import Object

TRIAL_WARNING_SECONDS = 3 * DAY


@dataclass(frozen=True)
class Due:
    """Something that will happen at that second, in the order of `rank` among what is due at the same one."""

    at: int
    rank: int
    happen: Callable[[], None]


class Calendar:
    """`after_retries`: what the account's settings do with a renewal that was never paid: `canceled`, `unpaid`, `past_due`."""

    def __init__(
        self,
        *,
        books: Books,
        charging: Charging,
        subscriptions: Subscriptions,
        schedules: Schedules,
        invoices: Invoices,
        checkout: Checkout,
    ) -> None:
        self.after_retries = "canceled"
        self._books = books
        self._charging = charging
        self._subscriptions = subscriptions
        self._schedules = schedules
        self._invoices = invoices
        self._checkout = checkout
        self._warned: set[str] = set()

    def pass_until(self, until: datetime) -> None:
        """Let everything happen that is due, each thing at its own time, and leave the clock at `until`."""
        with self._books.lock:
            while due := self._next(int(until.timestamp())):
                self._books.clock.move_to(datetime.fromtimestamp(due.at, UTC))
                due.happen()
            self._books.clock.move_to(until)

    def _next(self, until: int) -> Due | None:
        events = [*self._of_sessions(), *self._of_invoices(), *self._of_debits()]
        for subscription in self._books.all("subscription"):
            if subscription["status"] not in ENDED:
                events += self._of_subscription(subscription)
        return min(
            (event for event in events if event.at <= until), key=lambda event: (event.at, event.rank), default=None
        )

    def _of_sessions(self) -> Iterator[Due]:
        for session in self._books.all("checkout.session", status="open"):
            yield Due(session["expires_at"], 0, partial(self._checkout.expire, session))

    def _of_invoices(self) -> Iterator[Due]:
        for invoice in self._books.all("invoice", status="open"):
            if invoice["next_payment_attempt"]:
                yield Due(invoice["next_payment_attempt"], 3, partial(self._retry, invoice))

    def _of_debits(self) -> Iterator[Due]:
        for intent_id, at in self._books.bounces.items():
            yield Due(at, 0, partial(self._bounce, intent_id))

    def _bounce(self, intent_id: str) -> None:
        """The bank returns a debit: of a one-off payment, of a checkout, or of a subscription that has run on meanwhile."""
        del self._books.bounces[intent_id]
        intent = self._books.get("payment_intent", intent_id)
        if intent["status"] != "processing":
            return
        invoice = self._invoices.of_intent(intent_id)
        if invoice is None:
            self._charging.fail(intent)
            return
        session = next(self._books.all("checkout.session", invoice=invoice["id"], payment_status="unpaid"), None)
        if session is not None:
            self._checkout.settle(session, succeeded=False)
            return
        self._invoices.settle(invoice, succeeded=False)
        subscription = self._books.get("subscription", subscription_id(invoice) or "")
        if subscription["status"] == "active" and not subscription["pending_update"]:
            self._subscriptions.change(subscription, status="past_due")
        self._give_up(subscription, invoice)

    def _of_subscription(self, subscription: Object) -> Iterator[Due]:
        status, item = subscription["status"], item_of(subscription)
        if status == "incomplete":
            if not self._invoices.is_processing(self._books.get("invoice", subscription["latest_invoice"])):
                end = subscription["created"] + INCOMPLETE_SECONDS
                yield Due(end, 0, partial(self._expire_incomplete, subscription))
            return
        if status == "paused":
            return
        if subscription["pending_update"]:
            pending_end = subscription["pending_update"]["expires_at"]
            yield Due(pending_end, 0, partial(self._expire_pending, subscription))
        if subscription["cancel_at"]:
            yield Due(subscription["cancel_at"], 1, partial(self._subscriptions.end, subscription))
        if status == "trialing" and subscription["id"] not in self._warned:
            warning = max(subscription["trial_end"] - TRIAL_WARNING_SECONDS, subscription["created"])
            yield Due(warning, 0, partial(self._warn, subscription))
        yield Due(item["current_period_end"], 2, partial(self._renew, subscription))

    def _warn(self, subscription: Object) -> None:
        self._warned.add(subscription["id"])
        self._books.announce("customer.subscription.trial_will_end", subscription)

    def _expire_incomplete(self, subscription: Object) -> None:
        invoice = self._books.get("invoice", subscription["latest_invoice"])
        if invoice["status"] == "open":
            self._invoices.void(invoice)
        self._subscriptions.change(subscription, status="incomplete_expired", ended_at=self._books.now())

    def _expire_pending(self, subscription: Object) -> None:
        before = deepcopy(subscription)
        invoice = self._books.get("invoice", subscription["latest_invoice"])
        subscription["pending_update"] = None
        if invoice["status"] == "open":
            self._invoices.void(invoice)
        self._books.announce("customer.subscription.pending_update_expired", subscription)
        self._books.announce("customer.subscription.updated", subscription, before)

    def _renew(self, subscription: Object) -> None:
        """The next period begins at once. Whether it was paid shows later: that is why a period says nothing by itself."""
        before, item = deepcopy(subscription), item_of(subscription)
        customer = subscription["customer"]
        trial_is_over = subscription["status"] == "trialing"
        if trial_is_over and customer not in self._books.cards and not self._goes_on_without_card(subscription):
            return
        self._next_phase(subscription)
        start = item["current_period_end"]
        end = after_interval(start, item["price"])
        item.update(current_period_start=start, current_period_end=end)
        if trial_is_over:
            subscription.update(status="active", billing_cycle_anchor=start)
        self._books.announce("customer.subscription.updated", subscription, before)
        invoice = self._invoices.open(subscription, "subscription_cycle", amount_of(item), (start, end))
        paused = subscription["pause_collection"]
        if paused:
            self._leave_uncollected(invoice, paused["behavior"])
            return
        if subscription["status"] == "unpaid":
            return
        paid = self._invoices.collect(invoice, self._books.card_of(customer, Card.DECLINED))
        if not paid and not self._invoices.is_processing(invoice):
            self._subscriptions.change(subscription, status="past_due")

    def _leave_uncollected(self, invoice: Object, behavior: str) -> None:
        if behavior == "void":
            self._invoices.void(invoice)
        elif behavior == "mark_uncollectible":
            invoice["status"] = "uncollectible"
            self._books.announce("invoice.marked_uncollectible", invoice)
        else:
            invoice["status"] = "draft"

    def _goes_on_without_card(self, subscription: Object) -> bool:
        settings = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
        if settings == "cancel":
            self._subscriptions.end(subscription, "payment_failed")
        elif settings == "pause":
            self._subscriptions.change(subscription, status="paused")
            self._books.announce("customer.subscription.paused", subscription)
        return bool(settings == "create_invoice")

    def _next_phase(self, subscription: Object) -> None:
        """At the end of a schedule's phase the item's price changes, before the renewal is charged."""
        if not subscription["schedule"]:
            return
        schedule = self._books.get("subscription_schedule", subscription["schedule"])
        now = item_of(subscription)["current_period_end"]
        phase = next((each for each in schedule["phases"] if each["start_date"] <= now < each["end_date"]), None)
        if phase is None:
            self._schedules.release(schedule)
        else:
            planned = phase["items"][0]
            set_price(item_of(subscription), self._books.get("price", planned["price"]), planned["quantity"])
            schedule["current_phase"] = {"start_date": phase["start_date"], "end_date": phase["end_date"]}

    def _retry(self, invoice: Object) -> None:
        subscription = self._books.get("subscription", subscription_id(invoice) or "")
        if subscription["status"] in ENDED:
            invoice["next_payment_attempt"] = None
            return
        card = self._books.card_of(subscription["customer"], Card.DECLINED)
        if not self._invoices.collect(invoice, card) and not self._invoices.is_processing(invoice):
            self._give_up(subscription, invoice)

    def _give_up(self, subscription: Object, invoice: Object) -> None:
        """When no attempt is left."""
        if invoice["next_payment_attempt"] or subscription["status"] != "past_due":
            return
        if self.after_retries == "canceled":
            self._subscriptions.end(subscription, "payment_failed")
        else:
            self._subscriptions.change(subscription, status=self.after_retries)
