"""App Store Server Notifications, version 2: taken in at once, applied by a job.

Apple repeats what was not answered with 200 to 206, five times within a week, but not what was refused with 4xx. So 400 is for
forgeries alone, 200 for everything that is Apple's, and 5xx for whatever should be sent again
(developer.apple.com/documentation/appstoreservernotifications).
"""

from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from payments.apple.purchase import AppleNotification, AppleTransaction
from payments.apple.rules import Apple
from payments.apple.validate_receipt import AppleNotReachable
from payments.apple_validator import AppleUnavailable, SignedDataForged
from payments.billing.counts import count
from payments.inbox.inbox import Applied, EventHandler, EventInbox, EventState, StoredEvent
from payments.models import BillingCustomer, Subscription
from payments.subscriptions.grant_tier import lock_user, recompute_tier
from payments.subscriptions.status import Provider
from security.edge.problems import Problem

LONGEST_ON_THE_WAY = timedelta(days=8)
"""Apple's last repetition comes 158 hours after the first try, with the same signature."""
CLOCKS_DIFFER = timedelta(minutes=5)
CONSENT_RESCINDED = "RESCIND_CONSENT"
"""A parent took back the consent to a child's use of the app. What follows from that is for people to decide."""


class NotificationNotValid(Problem):
    status, error, title = 400, "notification_not_valid", "This is not a notification that Apple signed for this app"


def receive_notification(apple: Apple, inbox: EventInbox, signed: str) -> None:
    """Verify and keep it; a repetition changes nothing. Raises NotificationNotValid, AppleNotReachable."""
    try:
        notification = _signed_lately(apple, signed)
    except SignedDataForged as forged:
        apple.refused_forgery("notification", str(forged))
        raise NotificationNotValid from None
    except AppleUnavailable:
        raise AppleNotReachable from None
    keep_notification(inbox, notification, signed)


def _signed_lately(apple: Apple, signed: str) -> AppleNotification:
    """Raises SignedDataForged, AppleUnavailable."""
    notification = apple.signatures.notification(signed)
    age = apple.rules.clock() - notification.signed_at
    if not -CLOCKS_DIFFER <= age <= LONGEST_ON_THE_WAY:
        raise SignedDataForged("not signed lately")
    return notification


def keep_notification(inbox: EventInbox, notification: AppleNotification, signed: str) -> bool:
    """False when it is known already."""
    event_id = inbox.store(
        provider=Provider.APPLE,
        external_id=notification.notification_id,
        kind=notification.kind,
        environment=notification.environment,
        body=signed.encode(),
    )
    return event_id is not None


def apple_events(apple: Apple) -> EventHandler[AppleNotification]:
    """Asks nobody: all that is needed was signed and sent along."""
    return EventHandler(lambda event: read_stored(apple, event), partial(write_notification, apple))


def read_stored(apple: Apple, event: StoredEvent) -> AppleNotification:
    notification = apple.signatures.stored.notification(event.body.decode())
    if not notification.known:
        structlog.get_logger().warning("apple_notification_unknown", event_id=str(event.id), kind=notification.kind)
    return notification


def write_notification(apple: Apple, session: Session, now: datetime, notification: AppleNotification) -> Applied:
    applied = write_purchase(apple, session, now, notification)
    if not notification.known:
        count(session, "apple_notification_unknown", now)
    if notification.kind == CONSENT_RESCINDED:
        count(session, "apple_consent_rescinded", now)
    return applied


def write_purchase(apple: Apple, session: Session, now: datetime, notification: AppleNotification) -> Applied:
    """What is Apple's word of a subscription is written down even before anybody owns it: its owner appears when the app posts
    the receipt.
    """
    purchase = notification.purchase
    if purchase is None or purchase.transaction.expires_at is None:
        return Applied(EventState.IGNORED, note="no subscription")
    owner, proven = owner_of(session, purchase.transaction)
    if not apple.sandbox.admits(session, purchase.transaction.environment, owner):
        return Applied(EventState.IGNORED, note="sandbox")
    user = None if owner is None else lock_user(session, owner)
    recorded = apple.record(session, purchase, owner=owner, proven=proven, now=now)
    if recorded is None:
        count(session, "apple_product_unknown", now)
        return Applied(EventState.IGNORED, note="product unknown")
    if recorded.user_id is None:
        return Applied(note="account deleted" if recorded.was_owned else "no owner yet")
    cause = f"apple:{notification.notification_id}"
    return Applied(change=recompute_tier(session, recorded.user_id, cause=cause, now=now, held=user))


def owner_of(session: Session, bought: AppleTransaction) -> tuple[UUID | None, bool]:
    """The user, and whether Apple's own word names them. A family member's transaction may carry the buyer's token."""
    held = session.execute(
        select(Subscription.user_id).where(
            Subscription.environment == bought.environment, Subscription.apple_transaction_id == bought.original_id
        )
    ).scalar_one_or_none()
    if held is not None:
        return held, False
    if bought.account_token is None or bought.family_shared:
        return None, False
    named = session.execute(
        select(BillingCustomer.user_id).where(BillingCustomer.apple_account_token == bought.account_token)
    ).scalar_one_or_none()
    return named, named is not None
