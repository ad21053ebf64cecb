"""Reconciling with Apple: notifications that never arrived, and subscriptions whose end has come without a word."""

import json
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import or_, select

from database import reading, transaction
from payments.apple import Apple
from payments.apple_notifications import keep_notification
from payments.apple_purchase import AppleEnvironment, ApplePurchase, milliseconds, moment
from payments.apple_validator import AppleServerApi, PageTokenRefused, SignedDataForged, TransactionUnknown
from payments.event_inbox import EventInbox
from payments.grant_tier import lock_user, recompute_tier
from payments.models import Subscription
from payments.reconcile import Reconciler, Step
from payments.record_subscription import holding_of
from payments.subscription_status import ENDED, Provider

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
        missed = sum(self._keep(signed) for signed in page.signed_payloads)
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
        drift = 0
        for subscription_id, original_id, environment in rows:
            try:
                known = self._api.statuses(original_id, environment)
            except TransactionUnknown:
                continue
            drift += sum(
                self._correct(subscription_id, each, now)
                for each in known
                if each.transaction.original_id == original_id
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

    def _correct(self, subscription_id: UUID, purchase: ApplePurchase, now: datetime) -> bool:
        """Through the same function as every notification. Says whether the row was wrong."""
        with transaction() as session:
            owner = session.execute(
                select(Subscription.user_id).where(Subscription.id == subscription_id)
            ).scalar_one_or_none()
            if owner is not None:
                lock_user(session, owner)
            row = session.get_one(Subscription, subscription_id)
            before = holding_of(row)
            self._apple.record(session, purchase, owner=owner, proven=False, now=now)
            session.refresh(row)
            wrong = holding_of(row) != before
            change = None
            if row.user_id is not None:
                change = recompute_tier(session, row.user_id, cause="reconcile", now=now)
        if change is not None:
            self._apple.rules.announce(change.user_id, change.version)
        return wrong


def apple_reconcilers(apple: Apple, inbox: EventInbox) -> tuple[Reconciler, ...]:
    """None without a key for the App Store Server API."""
    if apple.api is None:
        return ()
    missed = (MissedNotifications(apple, apple.api, inbox, environment) for environment in AppleEnvironment)
    return (*missed, OverdueSubscriptions(apple, apple.api))
