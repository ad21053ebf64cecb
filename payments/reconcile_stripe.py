"""Asking Stripe for what its events should have told: events that never arrived, subscriptions, payments left open."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import select

from auth.models import User
from database import reading
from payments.apply_stripe_event import handler_of
from payments.event_inbox import EventInbox
from payments.models import BillingCustomer, CheckoutIntent, Payment, Subscription
from payments.payment_status import OPEN
from payments.read_payment import follow_checkout
from payments.reconcile import Reconciler, Step
from payments.refresh_stripe_subscription import Fetched, apply_fetched, fetch_version
from payments.settle_payment import fetch_intent, settle_now
from payments.start_checkout import KIND, settle
from payments.stripe_handler import environment_name
from payments.stripe_problems import StripeObjectMissing
from payments.stripe_rules import StripeRules
from payments.subscription_status import Provider

KEPT_AT_STRIPE = timedelta(days=30)
OVERLAP = timedelta(hours=1)
CUSTOMERS_AT_ONCE = 20
OPEN_AT_ONCE = 50
LEFT_ALONE = timedelta(minutes=10)
"""What was begun a moment ago is still being worked on."""
FIRST_ID = UUID(int=0)


@dataclass(frozen=True)
class MissedEvents:
    """Events that our endpoint did not accept go into the inbox, where they are applied like any other."""

    rules: StripeRules
    inbox: EventInbox
    name: str = "stripe_events"

    def step(self, position: str | None) -> Step:
        now = self.rules.billing.clock()
        since = now - KEPT_AT_STRIPE if position is None else datetime.fromisoformat(position) - OVERLAP
        missed = list(self.rules.handler.undelivered_events(since))
        stored = [
            self.inbox.store(
                provider=Provider.STRIPE,
                external_id=event["id"],
                kind=event["type"],
                environment=environment_name(live=event["livemode"]),
                body=orjson.dumps(event, default=str),
            )
            for event in reversed(missed)
            if handler_of(event["type"]) is not None
        ]
        return Step(now.isoformat(), finished=True, checked=len(missed), drift=sum(each is not None for each in stored))


@dataclass(frozen=True)
class StripeSubscriptions:
    """Every customer's subscriptions, because events are gone after a month. And where their receipts go."""

    rules: StripeRules
    name: str = "stripe_subscriptions"

    def step(self, position: str | None) -> Step:
        after = UUID(position) if position else FIRST_ID
        query = (
            select(BillingCustomer.id, BillingCustomer.stripe_customer_id, User.email)
            .outerjoin(User, User.id == BillingCustomer.user_id)
            .where(BillingCustomer.id > after, BillingCustomer.stripe_customer_id.is_not(None))
            .order_by(BillingCustomer.id)
            .limit(CUSTOMERS_AT_ONCE)
        )
        with reading() as session:
            customers = [(row.id, row.stripe_customer_id, row.email) for row in session.execute(query)]
        checked = drift = 0
        for _, customer_id, email in customers:
            for corrected in self._follow(customer_id, email):
                checked, drift = checked + 1, drift + corrected
        finished = len(customers) < CUSTOMERS_AT_ONCE
        return Step("" if finished else str(customers[-1][0]), finished, checked, drift)

    def _follow(self, customer_id: str, email: str | None) -> list[bool]:
        """For each subscription, whether what we knew of it was wrong. `email` is the user's present one."""
        version = fetch_version()
        try:
            found = self.rules.handler.subscriptions_of(customer_id)
        except StripeObjectMissing:
            return []
        if email is not None and any(each.customer_email not in {None, email} for each in found):
            self.rules.handler.set_email(customer_id, email)
        corrected = []
        for each in found:
            before = known_of(each.id)
            apply_fetched(self.rules, Fetched(version, each), "reconcile")
            corrected.append(before != known_of(each.id))
        return corrected


@dataclass(frozen=True)
class OpenPayments:
    """Pages and payments that nobody came back from."""

    rules: StripeRules
    name: str = "stripe_open_payments"

    def step(self, position: str | None) -> Step:
        after = UUID(position) if position else FIRST_ID
        left = self._left(after)
        drift = sum(self._follow(kind, row_id, external_id) for row_id, kind, external_id in left)
        finished = len(left) < OPEN_AT_ONCE
        return Step("" if finished else str(left[-1][0]), finished, len(left), drift)

    def _left(self, after: UUID) -> list[tuple[UUID, str, str | None]]:
        now = self.rules.billing.clock()
        checkouts = select(CheckoutIntent.id, CheckoutIntent.kind, CheckoutIntent.external_id).where(
            CheckoutIntent.state == "open",
            CheckoutIntent.kind == KIND,
            CheckoutIntent.id > after,
            CheckoutIntent.created_at < now - LEFT_ALONE,
        )
        payments = select(Payment.id, Payment.status, Payment.external_id).where(
            Payment.status.in_(OPEN), Payment.id > after, Payment.created_at < now - LEFT_ALONE
        )
        with reading() as session:
            rows = [*session.execute(checkouts.order_by(CheckoutIntent.id).limit(OPEN_AT_ONCE))]
            rows += session.execute(payments.order_by(Payment.id).limit(OPEN_AT_ONCE))
        return sorted(((row[0], row[1], row[2]) for row in rows), key=lambda row: row[0])[:OPEN_AT_ONCE]

    def _follow(self, kind: str, row_id: UUID, external_id: str | None) -> bool:
        """Whether it turned out to be over."""
        try:
            if kind != KIND:
                if external_id is not None:
                    settle_now(self.rules, fetch_intent(external_id, self.rules))
            elif external_id is not None:
                follow_checkout(self.rules, row_id, external_id)
            else:
                self._give_up(row_id)
        except StripeObjectMissing:
            return False
        with reading() as session:
            state = session.execute(
                select(CheckoutIntent.state).where(CheckoutIntent.id == row_id)
                if kind == KIND
                else select(Payment.status).where(Payment.id == row_id)
            ).scalar_one()
        return state not in {"open", *OPEN}

    def _give_up(self, checkout_id: UUID) -> None:
        """Its page could not be reached by anybody, and would be closed by now."""
        with reading() as session:
            ends = session.execute(
                select(CheckoutIntent.expires_at).where(CheckoutIntent.id == checkout_id)
            ).scalar_one()
        if ends is not None and ends < self.rules.billing.clock():
            settle(self.rules, checkout_id, "failed")


def stripe_reconcilers(rules: StripeRules, inbox: EventInbox) -> tuple[Reconciler, ...]:
    return MissedEvents(rules, inbox), StripeSubscriptions(rules), OpenPayments(rules)


def known_of(subscription_id: str) -> tuple[Any, ...] | None:
    """What a person could notice."""
    columns = (
        Subscription.status,
        Subscription.tier,
        Subscription.user_id,
        Subscription.period_end,
        Subscription.cancel_at,
        Subscription.pending_tier,
    )
    query = select(*columns).where(Subscription.stripe_subscription_id == subscription_id)
    with reading() as session:
        row = session.execute(query).one_or_none()
    return None if row is None else tuple(row)
