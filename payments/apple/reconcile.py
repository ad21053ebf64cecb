"""Reconciling with Apple: notifications that never arrived, and subscriptions whose end has come without a word."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from auth.models import User
from database import transaction
from database.batch import work_through
from payments.apple.notifications import keep_notification
from payments.apple.purchase import AppleEnvironment, ApplePurchase, milliseconds, moment
from payments.apple.rules import Apple
from payments.apple_validator import (
    AppleOutOfReach,
    AppleServerApi,
    PageTokenRefused,
    SignedDataForged,
    TransactionUnknown,
)
from payments.billing.counts import count
from payments.inbox.inbox import EventInbox
from payments.inbox.reconcile import Reconciler, RowByRow, Step, batch_of
from payments.models import Subscription
from payments.subscriptions.entitlement import access_until
from payments.subscriptions.grant_tier import StateChange, announce_change, lock_user, recompute_tier
from payments.subscriptions.record import noticeable
from payments.subscriptions.status import ENDED, Provider, SubscriptionStatus
from security.edge.problems import DependencyUnavailable

FIRST_LOOK_BACK = timedelta(days=7)
OVERLAP = timedelta(hours=1)
"""Looked at again by the next run, because Apple may list a notification a little late."""
KEPT_BY_APPLE = timedelta(days=29)
"""Apple keeps the sandbox's notifications 30 days and production's 180."""


@dataclass(frozen=True)
class MissedNotifications:
    """Reads the notification history of one environment, from where the last run stopped."""

    apple: Apple
    api: AppleServerApi
    inbox: EventInbox
    environment: AppleEnvironment

    @property
    def name(self) -> str:
        return f"apple_notifications_{self.environment.lower()}"

    def step(self, position: str | None) -> Step:
        """One page. What was missed is stored and applied like any notification, so it counts as drift."""
        now = self.apple.rules.clock()
        place = {} if position is None else json.loads(position)
        token = place.get("token")
        ends = moment(place["until"]) if token else now
        try:
            page = self.api.notification_history(self.environment, self._begins(place, now), ends, token)
        except PageTokenRefused:
            return Step(json.dumps({"since": place["since"]}), finished=False, checked=0, drift=0)
        missed = work_through(
            batch_of(self),
            page.signed_payloads,
            self._keep,
            key=fingerprint,
            unless=(AppleOutOfReach, DependencyUnavailable),
        )
        place = {"since": milliseconds(self._begins(place, now)), "until": milliseconds(ends), "token": page.next_token}
        if page.next_token is None:
            place = {"since": milliseconds(ends - OVERLAP)}
        return Step(json.dumps(place), page.next_token is None, len(page.signed_payloads), missed)

    def _begins(self, place: dict[str, int], now: datetime) -> datetime:
        since = moment(place["since"]) if "since" in place else now - FIRST_LOOK_BACK
        return since if place.get("token") else max(since, now - KEPT_BY_APPLE)

    def _keep(self, signed: str) -> bool:
        try:
            notification = self.apple.signatures.notification(signed)
        except SignedDataForged as forged:
            self.apple.refused_forgery("history", str(forged))
            return False
        return keep_notification(self.inbox, notification, signed)


def overdue_subscriptions(apple: Apple) -> Select[UUID, str | None, str | None]:
    """That should have been renewed or ended by now."""
    return (
        select(Subscription.id, Subscription.apple_transaction_id, Subscription.environment)
        .where(Subscription.provider == Provider.APPLE, Subscription.status.not_in(ENDED))
        .where(or_(Subscription.period_end.is_(None), Subscription.period_end <= apple.rules.clock()))
    )


def follow_subscription(
    apple: Apple, api: AppleServerApi, subscription_id: UUID, original_id: str, environment: str
) -> int:
    """How often the row was wrong."""
    try:
        known = api.statuses(original_id, AppleEnvironment(environment))
    except TransactionUnknown:
        return end_missing(apple, subscription_id)
    return sum(correct(apple, subscription_id, each) for each in known if each.transaction.original_id == original_id)


def end_missing(apple: Apple, subscription_id: UUID) -> bool:
    """Apple has no such transaction, and never will: the customer's account is gone, or the key is of another app. A row that
    went on being "not ended" would keep its owner from buying elsewhere.

    What runs is not taken away for that. A later period, or a word about the renewal of this one, brings the row back.
    """
    now = apple.rules.clock()
    with transaction() as session:
        row, owner = locked_with_its_owner(session, subscription_id)
        access_ends = access_until(row)
        if row.status in ENDED or (access_ends is not None and now < access_ends):
            return False
        row.status, row.provider_status, row.updated_at = SubscriptionStatus.EXPIRED, "missing at Apple", now
        change = give_owner_their_tier(session, row, owner, now)
        count(session, "apple_missing", now)
    announce_change(apple.rules.announce, change)
    return True


def correct(apple: Apple, subscription_id: UUID, purchase: ApplePurchase) -> bool:
    """Through the same function as every notification. Says whether the row was wrong."""
    now = apple.rules.clock()
    with transaction() as session:
        row, owner = locked_with_its_owner(session, subscription_id)
        before = noticeable(row)
        apple.record(session, purchase, owner=row.user_id, proven=False, now=now)
        session.refresh(row)
        wrong = noticeable(row) != before
        change = give_owner_their_tier(session, row, owner, now)
    announce_change(apple.rules.announce, change)
    return wrong


def locked_with_its_owner(session: Session, subscription_id: UUID) -> tuple[Subscription, User | None]:
    owner = session.execute(select(Subscription.user_id).where(Subscription.id == subscription_id)).scalar_one()
    user = None if owner is None else lock_user(session, owner)
    return session.get_one(Subscription, subscription_id, with_for_update=True), user


def give_owner_their_tier(session: Session, row: Subscription, owner: User | None, now: datetime) -> StateChange | None:
    session.flush()
    if row.user_id is None:
        return None
    return recompute_tier(session, row.user_id, cause="reconcile", now=now, held=owner)


def fingerprint(signed: str) -> str:
    """Names a notification for the operators that cannot even be read."""
    return hashlib.sha256(signed.encode()).hexdigest()[:16]


def apple_reconcilers(apple: Apple, inbox: EventInbox) -> tuple[Reconciler, ...]:
    """None without a key for the App Store Server API."""
    if apple.api is None:
        return ()
    missed = (MissedNotifications(apple, apple.api, inbox, environment) for environment in AppleEnvironment)
    overdue = RowByRow(
        "apple_overdue",
        lambda: overdue_subscriptions(apple),
        partial(follow_subscription, apple, apple.api),
        AppleOutOfReach,
    )
    return (*missed, overdue)
