"""Asking Stripe for what its events should have told: events that never arrived, and how subscriptions are."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Select, select

from auth.models import User
from database import reading
from database.batch import work_through
from payments.inbox.inbox import EventInbox
from payments.inbox.reconcile import Reconciler, RowByRow, Step, batch_of
from payments.models import BillingCustomer, Subscription
from payments.stripe.problems import NOTHING_CAN_BE_ASKED, StripeEmailRefused, StripeObjectMissing
from payments.stripe.refresh import TEST_MODE, Fetched, apply_fetched, fetch
from payments.stripe.rules import StripeRules
from payments.stripe.what_an_event_names import keep_event
from payments.subscriptions.record import fetch_version, noticeable
from payments.subscriptions.status import ENDED, Provider
from security.edge.problems import DependencyUnavailable

KEPT_AT_STRIPE = timedelta(days=30)
OVERLAP = timedelta(hours=1)


@dataclass(frozen=True)
class MissedEvents:
    """Events that our endpoint did not accept go into the inbox, where they are applied like any other."""

    rules: StripeRules
    inbox: EventInbox
    handled: Container[str]
    name: str = "stripe_events"

    def step(self, position: str | None) -> Step:
        now = self.rules.billing.clock()
        since = now - KEPT_AT_STRIPE if position is None else datetime.fromisoformat(position) - OVERLAP
        missed = list(self.rules.handler.undelivered_events(since))
        drift = work_through(
            batch_of(self), reversed(missed), self._store, key=lambda event: event["id"], unless=DependencyUnavailable
        )
        return Step(now.isoformat(), finished=True, checked=len(missed), drift=drift)

    def _store(self, event: Mapping[str, Any]) -> bool:
        return event["type"] in self.handled and keep_event(self.inbox, event)


def customers() -> Select[UUID, str | None, str | None]:
    """Every one's subscriptions are asked for, known here or not, because events are gone after a month. And where their
    receipts go: to the user's present address.
    """
    query = select(BillingCustomer.id, BillingCustomer.stripe_customer_id, User.email)
    return query.outerjoin(User, User.id == BillingCustomer.user_id).where(
        BillingCustomer.stripe_customer_id.is_not(None)
    )


def follow_customer(rules: StripeRules, _: UUID, customer_id: str, email: str | None) -> int:
    """Of how many subscriptions what we knew was wrong."""
    version = fetch_version()
    try:
        found = rules.handler.subscriptions_of(customer_id)
    except StripeObjectMissing:
        return 0  # its subscriptions are asked for one by one
    corrected = sum(corrects(rules, Fetched(version, each.id, each)) for each in found)
    if email is not None and any(each.customer_email != email for each in found):
        try:
            rules.handler.set_email(customer_id, email)
        except StripeEmailRefused:
            structlog.get_logger().warning("stripe_receipts_stay_where_they_were", customer=customer_id)
        except StripeObjectMissing:
            structlog.get_logger().info("stripe_customer_was_deleted", customer=customer_id)
    return corrected


def running_subscriptions(rules: StripeRules) -> Select[UUID, str | None, str | None]:
    """That run according to our rows, also where the customer or the whole mode is gone."""
    return select(Subscription.id, Subscription.stripe_subscription_id, Subscription.environment).where(
        Subscription.provider == Provider.STRIPE,
        Subscription.environment.in_({rules.handler.address.environment, TEST_MODE}),
        Subscription.status.not_in(ENDED),
    )


def follow_subscription(rules: StripeRules, _: UUID, subscription_id: str, environment: str) -> bool:
    if environment != rules.handler.address.environment:  # of test mode, and the key is live
        return corrects(rules, Fetched(fetch_version(), subscription_id, None))
    return corrects(rules, fetch(rules, subscription_id))


def stripe_reconcilers(rules: StripeRules, inbox: EventInbox, handled: Container[str]) -> tuple[Reconciler, ...]:
    """`handled`: the types of events that do anything."""
    return (
        MissedEvents(rules, inbox, handled),
        RowByRow("stripe_subscriptions", customers, partial(follow_customer, rules), NOTHING_CAN_BE_ASKED),
        RowByRow(
            "stripe_rows",
            lambda: running_subscriptions(rules),
            partial(follow_subscription, rules),
            NOTHING_CAN_BE_ASKED,
        ),
    )


def corrects(rules: StripeRules, fetched: Fetched) -> bool:
    """Write it down, and say whether what we knew was wrong."""
    before = known_of(fetched.subscription_id)
    apply_fetched(rules, fetched, "reconcile")
    return before != known_of(fetched.subscription_id)


def known_of(subscription_id: str) -> tuple[object, ...] | None:
    query = select(Subscription).where(Subscription.stripe_subscription_id == subscription_id)
    with reading() as session:
        row = session.scalars(query).one_or_none()
        return None if row is None else noticeable(row)
