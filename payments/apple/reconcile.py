"""Reconciling with Apple: notifications that never arrived, and subscriptions whose end has come without a word."""

import hashlib
import json
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from database import reading, transaction
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
from payments.inbox.reconcile import Reconciler, Step
from payments.models import Subscription
from payments.subscriptions.entitlement import access_until
from payments.subscriptions.grant_tier import LockedUser, StateChange, announce_change, lock_user, recompute_tier
from payments.subscriptions.record import holding_of
from payments.subscriptions.status import ENDED, Provider, SubscriptionStatus
from security.edge.problems import DependencyUnavailable

FIRST_LOOK_BACK = timedelta(days=7)
OVERLAP = timedelta(hours=1)
"""Looked at again by the next run, because Apple may list a notification a little late."""
KEPT_BY_APPLE = timedelta(days=29)
"""Apple keeps the sandbox's notifications 30 days and production's 180."""
ROWS_AT_ONCE = 20


class MissedNotifications:
    """Reads the notification history of one environment, from where the last run stopped."""

    def __init__(self, apple: Apple, api: AppleServerApi, inbox: EventInbox, environment: AppleEnvironment) -> None:
        self._name = f"apple_notifications_{environment.lower()}"
        self._apple = apple
        self._api = api
        self._inbox = inbox
        self._environment = environment

    @property
    def name(self) -> str:
        return self._name

    def step(self, position: str | None) -> Step:
        """One page. What was missed is stored and applied like any notification, so it counts as drift."""
        now = self._apple.rules.clock()
        place = {} if position is None else json.loads(position)
        token = place.get("token")
        ends = moment(place["until"]) if token else now
        try:
            page = self._api.notification_history(self._environment, self._begins(place, now), ends, token)
        except PageTokenRefused:
            return Step(json.dumps({"since": place["since"]}), finished=False, checked=0, drift=0)
        missed = work_through(
            self._name,
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
            notification = self._apple.signatures.notification(signed)
        except SignedDataForged as forged:
            self._apple.refused_forgery("history", str(forged))
            return False
        return keep_notification(self._inbox, notification, signed)


class OverdueSubscriptions:
    """Asks for the present state of subscriptions that should have been renewed or ended by now."""

    @property
    def name(self) -> str:
        return "apple_overdue"

    def __init__(self, apple: Apple, api: AppleServerApi) -> None:
        self._apple = apple
        self._api = api

    def step(self, position: str | None) -> Step:
        """Twenty rows, in the order of their ids. After the last one the next run begins anew."""
        now = self._apple.rules.clock()
        rows = self._overdue(UUID(position) if position else None, now)
        drift = work_through(
            self.name, rows, lambda row: self._follow(*row, now), key=lambda row: row[0], unless=AppleOutOfReach
        )
        finished = len(rows) < ROWS_AT_ONCE
        return Step("" if finished else str(rows[-1][0]), finished, len(rows), drift)

    def _overdue(self, after: UUID | None, now: datetime) -> list[tuple[UUID, str, AppleEnvironment]]:
        query = (
            select(Subscription.id, Subscription.apple_transaction_id, Subscription.environment)
            .where(Subscription.provider == Provider.APPLE, Subscription.status.not_in(ENDED))
            .where(or_(Subscription.period_end.is_(None), Subscription.period_end <= now))
            .order_by(Subscription.id)
            .limit(ROWS_AT_ONCE)
        )
        with reading() as session:
            found = session.execute(query if after is None else query.where(Subscription.id > after)).all()
        return [(row[0], str(row[1]), AppleEnvironment(str(row[2]))) for row in found]

    def _follow(self, subscription_id: UUID, original_id: str, environment: AppleEnvironment, now: datetime) -> int:
        """How often the row was wrong."""
        try:
            known = self._api.statuses(original_id, environment)
        except TransactionUnknown:
            return self._end(subscription_id, now)
        return sum(
            self._correct(subscription_id, each, now) for each in known if each.transaction.original_id == original_id
        )

    def _end(self, subscription_id: UUID, now: datetime) -> bool:
        """Apple has no such transaction, and never will: the customer's account is gone, or the key is of another app. A row that
        went on being "not ended" would keep its owner from buying elsewhere.

        What runs is not taken away for that. A later period, or a word about the renewal of this one, brings the row back.
        """
        with transaction() as session:
            row, owner = locked_with_its_owner(session, subscription_id)
            access_ends = access_until(holding_of(row))
            if row.status in ENDED or (access_ends is not None and now < access_ends):
                return False
            row.status, row.provider_status, row.updated_at = SubscriptionStatus.EXPIRED, "missing at Apple", now
            change = give_owner_their_tier(session, row, owner, now)
            count(session, "apple_missing", now)
        announce_change(self._apple.rules.announce, change)
        return True

    def _correct(self, subscription_id: UUID, purchase: ApplePurchase, now: datetime) -> bool:
        """Through the same function as every notification. Says whether the row was wrong."""
        with transaction() as session:
            row, owner = locked_with_its_owner(session, subscription_id)
            before = holding_of(row)
            self._apple.record(session, purchase, owner=row.user_id, proven=False, now=now)
            session.refresh(row)
            wrong = holding_of(row) != before
            change = give_owner_their_tier(session, row, owner, now)
        announce_change(self._apple.rules.announce, change)
        return wrong


def locked_with_its_owner(session: Session, subscription_id: UUID) -> tuple[Subscription, LockedUser | None]:
    owner = session.execute(select(Subscription.user_id).where(Subscription.id == subscription_id)).scalar_one()
    user = None if owner is None else lock_user(session, owner)
    return session.get_one(Subscription, subscription_id, with_for_update=True), user


def give_owner_their_tier(
    session: Session, row: Subscription, owner: LockedUser | None, now: datetime
) -> StateChange | None:
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
    return (*missed, OverdueSubscriptions(apple, apple.api))
