"""Asking Stripe for what its events should have told: events that never arrived, and how subscriptions are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import select

from auth.models import User
from database import reading
from database.batch import work_through
from payments.inbox.inbox import EventInbox
from payments.inbox.reconcile import Reconciler, Step, batch_of
from payments.models import BillingCustomer, Subscription
from payments.stripe.problems import NOTHING_CAN_BE_ASKED, StripeEmailRefused, StripeObjectMissing
from payments.stripe.refresh import TEST_MODE, Fetched, apply_fetched, fetch
from payments.stripe.rules import StripeRules
from payments.stripe.what_an_event_names import keep_event
from payments.subscriptions.record import fetch_version
from payments.subscriptions.status import ENDED, Provider
from security.edge.problems import DependencyUnavailable

KEPT_AT_STRIPE = timedelta(days=30)
OVERLAP = timedelta(hours=1)
AT_ONCE = 20
FIRST_ID = UUID(int=0)


@dataclass(frozen=True)
class MissedEvents:
    """Events that our endpoint did not accept go into the inbox, where they are applied like any other."""

    rules: StripeRules
    inbox: EventInbox
    is_handled: Callable[[str], bool]
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
        return self.is_handled(event["type"]) and keep_event(self.inbox, event)


@dataclass(frozen=True)
class Customer:
    """`email` is the user's present one."""

    id: UUID
    stripe_id: str
    email: str | None


@dataclass(frozen=True)
class StripeSubscriptions:
    """Every customer's subscriptions, known here or not, because events are gone after a month. And where their receipts go."""

    rules: StripeRules
    name: str = "stripe_subscriptions"

    def step(self, position: str | None) -> Step:
        after = UUID(position) if position else FIRST_ID
        query = (
            select(BillingCustomer.id, BillingCustomer.stripe_customer_id, User.email)
            .outerjoin(User, User.id == BillingCustomer.user_id)
            .where(BillingCustomer.id > after, BillingCustomer.stripe_customer_id.is_not(None))
            .order_by(BillingCustomer.id)
            .limit(AT_ONCE)
        )
        with reading() as session:
            customers = [Customer(row.id, row.stripe_customer_id, row.email) for row in session.execute(query)]
        drift = work_through(
            batch_of(self), customers, self._follow, key=lambda each: each.id, unless=NOTHING_CAN_BE_ASKED
        )
        finished = len(customers) < AT_ONCE
        return Step("" if finished else str(customers[-1].id), finished, len(customers), drift)

    def _follow(self, customer: Customer) -> int:
        """Of how many subscriptions what we knew was wrong."""
        version = fetch_version()
        try:
            found = self.rules.handler.subscriptions_of(customer.stripe_id)
        except StripeObjectMissing:
            return 0  # its subscriptions are asked for one by one
        corrected = sum(corrects(self.rules, Fetched(version, each.id, each)) for each in found)
        if customer.email is not None and any(each.customer_email != customer.email for each in found):
            self._set_email(customer.stripe_id, customer.email)
        return corrected

    def _set_email(self, customer_id: str, email: str) -> None:
        try:
            self.rules.handler.set_email(customer_id, email)
        except StripeEmailRefused:
            structlog.get_logger().warning("stripe_receipts_stay_where_they_were", customer=customer_id)
        except StripeObjectMissing:
            structlog.get_logger().info("stripe_customer_was_deleted", customer=customer_id)


@dataclass(frozen=True)
class KnownSubscriptions:
    """Every subscription that runs according to our rows, also one whose customer or whole mode is gone."""

    rules: StripeRules
    name: str = "stripe_rows"

    def step(self, position: str | None) -> Step:
        after = UUID(position) if position else FIRST_ID
        query = (
            select(Subscription.id, Subscription.stripe_subscription_id, Subscription.environment)
            .where(
                Subscription.id > after,
                Subscription.provider == Provider.STRIPE,
                Subscription.environment.in_({self.rules.handler.address.environment, TEST_MODE}),
                Subscription.status.not_in(ENDED),
            )
            .order_by(Subscription.id)
            .limit(AT_ONCE)
        )
        with reading() as session:
            rows = [(row[0], str(row[1]), str(row[2])) for row in session.execute(query)]
        drift = work_through(batch_of(self), rows, self._follow, key=lambda row: row[0], unless=NOTHING_CAN_BE_ASKED)
        finished = len(rows) < AT_ONCE
        return Step("" if finished else str(rows[-1][0]), finished, len(rows), drift)

    def _follow(self, row: tuple[UUID, str, str]) -> bool:
        _, subscription_id, environment = row
        if environment != self.rules.handler.address.environment:
            return corrects(
                self.rules, Fetched(fetch_version(), subscription_id, None)
            )  # of test mode, and the key is live
        return corrects(self.rules, fetch(self.rules, subscription_id))


def stripe_reconcilers(
    rules: StripeRules, inbox: EventInbox, is_handled: Callable[[str], bool]
) -> tuple[Reconciler, ...]:
    """`is_handled`: whether an event of this type does anything."""
    return MissedEvents(rules, inbox, is_handled), StripeSubscriptions(rules), KnownSubscriptions(rules)


def corrects(rules: StripeRules, fetched: Fetched) -> bool:
    """Write it down, and say whether what we knew was wrong."""
    before = known_of(fetched.subscription_id)
    apply_fetched(rules, fetched, "reconcile")
    return before != known_of(fetched.subscription_id)


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
