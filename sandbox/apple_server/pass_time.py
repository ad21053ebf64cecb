"""What time alone does to subscriptions: renewals, failed renewals, the end of a grace period, expiry."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sandbox.apple_server.app_store import AppStore
from sandbox.apple_server.subscriptions import ExpirationIntent, Subscription
from sandbox.store_clock import StoreClock

BILLING_RETRY_PERIOD = timedelta(days=60)


@dataclass(frozen=True)
class DueEvent:
    """Something that will happen at that time unless the customer acts before."""

    at: datetime
    happen: Callable[[], None]


def pass_time(stores: Sequence[AppStore], clock: StoreClock, until: datetime) -> None:
    """Let everything happen that is due, each thing at its own time, and leave the clock at `until`."""
    while due := next_event(stores, until):
        clock.move_to(due.at)
        due.happen()
    clock.move_to(until)


def next_event(stores: Sequence[AppStore], until: datetime) -> DueEvent | None:
    events = []
    for store in stores:
        with store.lock:
            running = [subscription for subscription in store.subscriptions.values() if subscription.renews]
            events += [event_of(store, subscription) for subscription in running]
    return min((event for event in events if event.at <= until), key=lambda event: event.at, default=None)


def event_of(store: AppStore, subscription: Subscription) -> DueEvent:
    """What comes next for a subscription that has not ended."""
    expires_at = subscription.latest.expires_at
    if subscription.grace_ends_at:
        return DueEvent(subscription.grace_ends_at, partial(end_grace_period, store, subscription))
    if subscription.in_billing_retry:
        given_up_at = expires_at + BILLING_RETRY_PERIOD
        return DueEvent(given_up_at, partial(expire, store, subscription, "BILLING_RETRY"))
    if not subscription.auto_renews:
        return DueEvent(expires_at, partial(expire, store, subscription, "VOLUNTARY"))
    if subscription.agrees_to_price is False:
        return DueEvent(expires_at, partial(refuse_price, store, subscription))
    what = renew if subscription.card_works else fail_to_renew
    return DueEvent(expires_at, partial(what, store, subscription))


def renew(store: AppStore, subscription: Subscription) -> None:
    """Renewed with the product that the customer chose for the next period."""
    with store.lock:
        begins = subscription.latest.expires_at
        for renewed in (subscription, *store.shared_from(subscription)):
            renewed.next_product, renewed.agrees_to_price = subscription.next_product, None
            store.charge(renewed, subscription.next_product, begins, renewal=True)
            store.announce(renewed, "DID_RENEW")


def refuse_price(store: AppStore, subscription: Subscription) -> None:
    """No answer to a price increase is a no."""
    subscription.expiration_intent = ExpirationIntent.PRICE_INCREASE_REFUSED
    expire(store, subscription, "PRICE_INCREASE")


def fail_to_renew(store: AppStore, subscription: Subscription) -> None:
    with store.lock:
        subscription.in_billing_retry = True
        subscription.expiration_intent = ExpirationIntent.BILLING_ERROR
        if store.grace_period:
            subscription.grace_ends_at = subscription.latest.expires_at + store.grace_period
        store.announce(subscription, "DID_FAIL_TO_RENEW", "GRACE_PERIOD" if store.grace_period else None)


def end_grace_period(store: AppStore, subscription: Subscription) -> None:
    """The App Store goes on trying to charge, but the customer is out."""
    with store.lock:
        subscription.grace_ends_at = None
        store.announce(subscription, "GRACE_PERIOD_EXPIRED")


def expire(store: AppStore, subscription: Subscription, why: str) -> None:
    with store.lock:
        for ended in (subscription, *store.shared_from(subscription)):
            ended.ended, ended.in_billing_retry, ended.auto_renews = True, False, False
            store.announce(ended, "EXPIRED", why)
