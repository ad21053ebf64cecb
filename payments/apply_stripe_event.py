"""What an event of Stripe does. It is a hint that something changed: how things are now is asked, and then written down.

So duplicates, any order, and events of another API version all lead to the same state.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
import structlog
from sqlalchemy import update
from sqlalchemy.orm import Session

from payments.billing_counts import count, count_hourly
from payments.event_inbox import Applied, Effect, EventState, StoredEvent
from payments.late_payments import is_late, note_late_payment
from payments.models import CheckoutIntent
from payments.refresh_stripe_subscription import fetch, write_down
from payments.settle_payment import fetch_intent, settle_intent
from payments.stripe_customer import forget_stripe_customer
from payments.stripe_objects import StripeDispute, id_of, subscription_of_invoice
from payments.stripe_problems import StripeObjectMissing
from payments.stripe_rules import StripeRules

DISPUTE_OPEN = frozenset({"needs_response", "under_review"})
"""The bank has the money. An inquiry (`warning_…`) only asks, and changes nothing."""

Named = dict[str, Any]


def apply_stripe_event(rules: StripeRules, event: StoredEvent) -> Effect:
    """The handler of the inbox. Any error means that it is tried again."""
    document = orjson.loads(event.body)
    version = document.get("api_version")
    # It is applied all the same, because only ids are read from it.
    if version_differs(version, rules.handler.api_version) and count_hourly(
        "stripe_event_of_another_version", rules.billing.clock()
    ):
        structlog.get_logger().warning("stripe_event_version", event_version=version, ours=rules.handler.api_version)
    return effect_of(rules, event, document)


def effect_of(rules: StripeRules, event: StoredEvent, document: Named) -> Effect:
    if document["livemode"] is not rules.handler.address.live:
        return ignored("other mode", "stripe_other_mode")
    named: Named = document["data"]["object"]
    handler = handler_of(event.kind)
    try:
        return ignored("not needed") if handler is None else handler(rules, event, named)
    except StripeObjectMissing:
        return ignored("missing at Stripe", "stripe_missing")


def handler_of(kind: str) -> Callable[[StripeRules, StoredEvent, Named], Effect] | None:
    return HANDLERS.get(kind)


def subscription_changed(rules: StripeRules, event: StoredEvent, named: Named) -> Effect:
    return refreshed(rules, event, named["id"])


def invoice_changed(rules: StripeRules, event: StoredEvent, named: Named) -> Effect:
    subscription_id = subscription_of_invoice(named) or rules.handler.invoice(named["id"]).subscription_id
    if subscription_id is None:
        return ignored("not of a subscription")
    fetched = fetch(rules, subscription_id)
    effect = write_down(rules, fetched, f"stripe:{event.external_id}")
    if event.kind != "invoice.paid" or fetched.subscription is None or fetched.subscription.ended_at is None:
        return effect
    invoice = rules.handler.invoice(named["id"])
    return note_late_payment(rules, event, invoice, effect) if is_late(invoice, fetched.subscription) else effect


def checkout_changed(rules: StripeRules, event: StoredEvent, named: Named) -> Effect:
    """A completed session is not a paid one. The subscription says what was paid."""
    session = rules.handler.checkout_session(named["id"])
    states = {"complete": "done", "expired": "expired"}

    def close_intent(database_session: Session, now: datetime) -> None:
        if session.status in states:
            database_session.execute(
                update(CheckoutIntent)
                .where(CheckoutIntent.external_id == session.id, CheckoutIntent.state == "open")
                .values(state=states[session.status], updated_at=now)
            )

    if session.subscription_id is None:
        return only(close_intent)
    return after(close_intent, refreshed(rules, event, session.subscription_id))


def charge_refunded(rules: StripeRules, event: StoredEvent, named: Named) -> Effect:
    """All of the latest period's payment given back: the subscription ends, or it would charge again.

    A part, an earlier period, or the difference of an upgrade changes nothing.
    """
    charge = rules.handler.charge(named["id"])
    if charge.intent_id is None:
        return ignored("not of an intent")
    invoice = rules.handler.invoice_of_intent(charge.intent_id)
    if invoice is None or invoice.subscription_id is None:
        return settle_intent(rules, fetch_intent(charge.intent_id, rules))
    if charge.fully_refunded:
        latest = rules.handler.latest_period_paid(invoice.subscription_id)
        if latest is not None and latest.id == invoice.id:
            rules.handler.cancel_subscription(invoice.subscription_id)
    return refreshed(rules, event, invoice.subscription_id)


def dispute_changed(rules: StripeRules, event: StoredEvent, named: Named) -> Effect:
    dispute = rules.handler.dispute(named["id"])
    intent_id = dispute.intent_id or rules.handler.charge(dispute.charge_id).intent_id
    invoice = rules.handler.invoice_of_intent(intent_id) if intent_id else None
    if intent_id is None:
        return ignored("not of an intent")
    if invoice is None or invoice.subscription_id is None:
        effect = settle_intent(rules, fetch_intent(intent_id, rules))
    else:
        follow_dispute(rules, dispute, invoice.subscription_id)
        effect = refreshed(rules, event, invoice.subscription_id)
    return counted(effect, "stripe_dispute") if event.kind == "charge.dispute.created" else effect


def follow_dispute(rules: StripeRules, dispute: StripeDispute, subscription_id: str) -> None:
    """While the bank decides, nothing is granted and nothing is charged. Stripe's subscription says so, not a note of ours."""
    found = rules.handler.subscription(subscription_id)
    suspended_by = found.metadata.get("suspended_by")
    if found.status in {"canceled", "incomplete_expired"}:
        return
    if dispute.status in DISPUTE_OPEN and suspended_by is None:
        rules.handler.suspend(subscription_id, dispute.id)
    elif dispute.status == "lost":
        rules.handler.cancel_subscription(subscription_id)
    elif dispute.status == "won" and suspended_by == dispute.id:
        rules.handler.unsuspend(subscription_id)


def customer_deleted(rules: StripeRules, event: StoredEvent, named: Named) -> Effect:
    customer_id: str = named["id"]
    return only(lambda session, now: forget_stripe_customer(session, customer_id))


def intent_changed(rules: StripeRules, event: StoredEvent, named: Named) -> Effect:
    return settle_intent(rules, fetch_intent(named["id"], rules))


def refund_failed(rules: StripeRules, event: StoredEvent, named: Named) -> Effect:
    """The money is ours again and the buyer has none of it, so a person has to give it back in another way."""
    refund = rules.handler.read_refund(named["id"])
    structlog.get_logger().error("stripe_refund_failed", refund=refund.id)
    effect = ignored("not of an intent")
    if refund.intent_id is not None:
        effect = settle_intent(rules, fetch_intent(refund.intent_id, rules))
    return counted(effect, "stripe_refund_failed")


def fraud_warned(rules: StripeRules, event: StoredEvent, named: Named) -> Effect:
    """For a person: a refund now costs less than the dispute that follows."""
    structlog.get_logger().error("stripe_fraud_warning", charge=id_of(named.get("charge")))
    return only(lambda session, now: count(session, "stripe_early_fraud_warning", now))


HANDLERS: dict[str, Callable[[StripeRules, StoredEvent, Named], Effect]] = {
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


def refreshed(rules: StripeRules, event: StoredEvent, subscription_id: str) -> Effect:
    return write_down(rules, fetch(rules, subscription_id), f"stripe:{event.external_id}")


def ignored(note: str, counter: str | None = None) -> Effect:
    def effect(session: Session, now: datetime) -> Applied:
        if counter is not None:
            count(session, counter, now)
        return Applied(EventState.IGNORED, note=note)

    return effect


def only(act: Callable[[Session, datetime], object]) -> Effect:
    def effect(session: Session, now: datetime) -> Applied:
        act(session, now)
        return Applied()

    return effect


def after(act: Callable[[Session, datetime], object], then: Effect) -> Effect:
    def effect(session: Session, now: datetime) -> Applied:
        act(session, now)
        return then(session, now)

    return effect


def counted(effect: Effect, name: str) -> Effect:
    def with_count(session: Session, now: datetime) -> Applied:
        applied = effect(session, now)
        count(session, name, now)
        return applied

    return with_count


def version_differs(theirs: str | None, ours: str) -> bool:
    """Stripe's versions are a date and the name of a release; within one release only things are added."""
    return theirs is None or theirs.partition(".")[2] != ours.partition(".")[2]
