"""What an event of Stripe does. It is a hint that something changed: how things are now is asked, and then written down.

So duplicates, any order, and events of another API version all lead to the same state. A handler asks Stripe and says what
it found; `write_finding` alone writes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import orjson
import structlog
from sqlalchemy import update
from sqlalchemy.orm import Session

from payments.billing.counts import count, count_hourly
from payments.inbox.inbox import Applied, EventHandler, EventState, StoredEvent
from payments.models import CheckoutIntent
from payments.purchases.follow_intent import FetchedIntent, fetch_intent, follow_intent
from payments.stripe.customer import forget_stripe_customer
from payments.stripe.late_payments import is_late, note_late_payment
from payments.stripe.objects import (
    StripeCheckoutSession,
    StripeDispute,
    StripeInvoice,
    id_of,
    subscription_of_invoice,
)
from payments.stripe.problems import StripeObjectMissing
from payments.stripe.refresh import Fetched, fetch, write_subscription
from payments.stripe.rules import StripeRules
from payments.stripe.start_checkout import OVER

DISPUTE_OPEN = frozenset({"needs_response", "under_review"})
"""The bank has the money. An inquiry (`warning_…`) only asks, and changes nothing."""

Named = dict[str, Any]


@dataclass(frozen=True)
class Finding:
    """What a handler found out about an event. What is None was not asked for. `ignored` says why nothing was."""

    event: StoredEvent
    subscription: Fetched | None = None
    late_invoice: StripeInvoice | None = None
    """Paid after the end of `subscription`."""
    intent: FetchedIntent | None = None
    checkout: StripeCheckoutSession | None = None
    deleted_customer: str | None = None
    counts: tuple[str, ...] = ()
    ignored: str | None = None


def stripe_events(rules: StripeRules) -> EventHandler[Finding]:
    return EventHandler(partial(find_out, rules), partial(write_finding, rules))


def find_out(rules: StripeRules, event: StoredEvent) -> Finding:
    """Any error means that it is tried again."""
    document = orjson.loads(event.body)
    version = document.get("api_version")
    # It is applied all the same, because only ids are read from it.
    if version_differs(version, rules.handler.api_version) and count_hourly(
        "stripe_event_of_another_version", rules.billing.clock()
    ):
        structlog.get_logger().warning("stripe_event_version", event_version=version, ours=rules.handler.api_version)
    if document["livemode"] is not rules.handler.address.live:
        return Finding(event, ignored="other mode", counts=("stripe_other_mode",))
    handler = HANDLERS.get(event.kind)
    if handler is None:
        return Finding(event, ignored="not needed")
    try:
        return handler(rules, event, document["data"]["object"])
    except StripeObjectMissing:
        return Finding(event, ignored="missing at Stripe", counts=("stripe_missing",))


def write_finding(rules: StripeRules, session: Session, now: datetime, finding: Finding) -> Applied:
    """In the order in which rows are locked; what is counted comes last."""
    applied = Applied() if finding.ignored is None else Applied(EventState.IGNORED, note=finding.ignored)
    if finding.checkout is not None:
        close_checkout(session, now, finding.checkout)
    if finding.deleted_customer is not None:
        forget_stripe_customer(session, finding.deleted_customer)
    if finding.intent is not None:
        applied = follow_intent(rules, session, now, finding.intent)
    if finding.subscription is not None:
        cause = f"stripe:{finding.event.external_id}"
        applied = write_subscription(rules, session, now, finding.subscription, cause)
    if finding.late_invoice is not None:
        applied = replace(applied, note=note_late_payment(session, finding.event.id, finding.late_invoice))
    for name in finding.counts:
        count(session, name, now)
    return applied


def close_checkout(session: Session, now: datetime, found: StripeCheckoutSession) -> None:
    if found.status in OVER:
        session.execute(
            update(CheckoutIntent)
            .where(CheckoutIntent.external_id == found.id, CheckoutIntent.state == "open")
            .values(state=OVER[found.status], updated_at=now)
        )


def subscription_changed(rules: StripeRules, event: StoredEvent, named: Named) -> Finding:
    return Finding(event, subscription=fetch(rules, named["id"]))


def invoice_changed(rules: StripeRules, event: StoredEvent, named: Named) -> Finding:
    subscription_id = subscription_of_invoice(named) or rules.handler.invoice(named["id"]).subscription_id
    if subscription_id is None:
        return Finding(event, ignored="not of a subscription")
    finding = Finding(event, subscription=(fetched := fetch(rules, subscription_id)))
    found = fetched.subscription
    if event.kind != "invoice.paid" or found is None or found.ended_at is None:
        return finding
    invoice = rules.handler.invoice(named["id"])
    if not is_late(invoice, found):
        return finding
    return replace(finding, late_invoice=invoice, counts=("stripe_paid_after_end",))


def checkout_changed(rules: StripeRules, event: StoredEvent, named: Named) -> Finding:
    """A completed session is not a paid one. The subscription says what was paid."""
    session = rules.handler.checkout_session(named["id"])
    subscription = None if session.subscription_id is None else fetch(rules, session.subscription_id)
    return Finding(event, checkout=session, subscription=subscription)


def charge_refunded(rules: StripeRules, event: StoredEvent, named: Named) -> Finding:
    """All of the latest period's payment given back: the subscription ends, or it would charge again.

    A part, an earlier period, or the difference of an upgrade changes nothing.
    """
    charge = rules.handler.charge(named["id"])
    if charge.intent_id is None:
        return Finding(event, ignored="not of an intent")
    invoice = rules.handler.invoice_of_intent(charge.intent_id)
    if invoice is None or invoice.subscription_id is None:
        return Finding(event, intent=fetch_intent(rules, charge.intent_id))
    if charge.fully_refunded:
        latest = rules.handler.latest_period_paid(invoice.subscription_id)
        if latest is not None and latest.id == invoice.id:
            rules.handler.cancel_subscription(invoice.subscription_id)
    return Finding(event, subscription=fetch(rules, invoice.subscription_id))


def dispute_changed(rules: StripeRules, event: StoredEvent, named: Named) -> Finding:
    counts = ("stripe_dispute",) if event.kind == "charge.dispute.created" else ()
    dispute = rules.handler.dispute(named["id"])
    intent_id = dispute.intent_id or rules.handler.charge(dispute.charge_id).intent_id
    if intent_id is None:
        return Finding(event, ignored="not of an intent")
    invoice = rules.handler.invoice_of_intent(intent_id)
    if invoice is None or invoice.subscription_id is None:
        return Finding(event, intent=fetch_intent(rules, intent_id), counts=counts)
    follow_dispute(rules, dispute, invoice.subscription_id)
    return Finding(event, subscription=fetch(rules, invoice.subscription_id), counts=counts)


def follow_dispute(rules: StripeRules, dispute: StripeDispute, subscription_id: str) -> None:
    """While the bank decides, nothing is granted and nothing is charged. Stripe's subscription says so, not a note of ours."""
    found = rules.handler.subscription(subscription_id)
    if found.status in {"canceled", "incomplete_expired"}:
        return
    if dispute.status in DISPUTE_OPEN and found.suspended_by is None:
        rules.handler.suspend(subscription_id, dispute.id)
    elif dispute.status == "lost":
        rules.handler.cancel_subscription(subscription_id)
    elif dispute.status == "won" and found.suspended_by == dispute.id:
        rules.handler.unsuspend(subscription_id)


def customer_deleted(rules: StripeRules, event: StoredEvent, named: Named) -> Finding:
    return Finding(event, deleted_customer=named["id"])


def intent_changed(rules: StripeRules, event: StoredEvent, named: Named) -> Finding:
    return Finding(event, intent=fetch_intent(rules, named["id"]))


def refund_failed(rules: StripeRules, event: StoredEvent, named: Named) -> Finding:
    """The money is ours again and the buyer has none of it, so a person has to give it back in another way."""
    refund = rules.handler.read_refund(named["id"])
    structlog.get_logger().error("stripe_refund_failed", refund=refund.id)
    finding = Finding(event, counts=("stripe_refund_failed",))
    if refund.intent_id is None:
        return replace(finding, ignored="not of an intent")
    return replace(finding, intent=fetch_intent(rules, refund.intent_id, refunds=True))


def fraud_warned(rules: StripeRules, event: StoredEvent, named: Named) -> Finding:
    """For a person: a refund now costs less than the dispute that follows."""
    structlog.get_logger().error("stripe_fraud_warning", charge=id_of(named.get("charge")))
    return Finding(event, counts=("stripe_early_fraud_warning",))


HANDLERS: dict[str, Callable[[StripeRules, StoredEvent, Named], Finding]] = {
    "customer.subscription.created": subscription_changed,
    "customer.subscription.updated": subscription_changed,
    "customer.subscription.deleted": subscription_changed,
    "customer.subscription.paused": subscription_changed,
    "customer.subscription.resumed": subscription_changed,
    "customer.subscription.pending_update_applied": subscription_changed,
    "customer.subscription.pending_update_expired": subscription_changed,
    "customer.subscription.trial_will_end": subscription_changed,
    "customer.deleted": customer_deleted,
    "checkout.session.completed": checkout_changed,
    "checkout.session.expired": checkout_changed,
    "checkout.session.async_payment_succeeded": checkout_changed,
    "checkout.session.async_payment_failed": checkout_changed,
    "invoice.paid": invoice_changed,
    "invoice.payment_failed": invoice_changed,
    "invoice.payment_action_required": invoice_changed,
    "invoice.finalization_failed": invoice_changed,
    "invoice.marked_uncollectible": invoice_changed,
    "invoice.voided": invoice_changed,
    "charge.refunded": charge_refunded,
    "refund.failed": refund_failed,
    "charge.dispute.created": dispute_changed,
    "charge.dispute.updated": dispute_changed,
    "charge.dispute.closed": dispute_changed,
    "payment_intent.succeeded": intent_changed,
    "payment_intent.payment_failed": intent_changed,
    "payment_intent.processing": intent_changed,
    "payment_intent.requires_action": intent_changed,
    "payment_intent.canceled": intent_changed,
    "radar.early_fraud_warning.created": fraud_warned,
}
"""What the endpoint subscribes to, as docs/payments.md lists it. Whole types, because relatives differ: `invoice.upcoming`
is of an invoice that does not exist yet and has no id."""


def version_differs(theirs: str | None, ours: str) -> bool:
    """Stripe's versions are a date and the name of a release; within one release only things are added."""
    return theirs is None or theirs.partition(".")[2] != ours.partition(".")[2]
