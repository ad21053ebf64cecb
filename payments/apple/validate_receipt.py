"""Validating what an app sends after a purchase, and binding the subscription to the caller's account.

The app sends the signed transaction of StoreKit 2, or the receipt of StoreKit 1. Both are read from Apple's word alone, before
any transaction is open. One subscription belongs to one account, for good.
"""

import base64
import binascii
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth.models import User
from auth.tiers import Tier, effective_tier
from database import transaction
from payments.apple.legacy_receipts import ReceiptRefused
from payments.apple.purchase import ApplePurchase
from payments.apple.rules import Apple
from payments.apple_validator import (
    AppleRefusesUs,
    AppleUnavailable,
    SignedDataForged,
    TransactionUnknown,
    transaction_id_in,
)
from payments.billing.customer import billing_customer
from payments.bodies import SubscriptionItem
from payments.models import Subscription
from payments.subscriptions.entitlement import access_until
from payments.subscriptions.grant_tier import announce_change, lock_user, recompute_tier
from payments.subscriptions.read import ManageUrls, own_subscription
from security.edge.problems import InvalidToken, Problem, retry_after

FRESH = timedelta(hours=24)
"""How old a signed transaction of a device may be to be believed as it stands."""
CLOCKS_DIFFER = timedelta(minutes=5)


class ReceiptNotValid(Problem):
    status, error, title = 400, "receipt_not_valid", "This is not a receipt for this app"


class ReceiptStale(Problem):
    """The device has a newer one: `Transaction.currentEntitlements` after `AppStore.sync()`."""

    status, error = 400, "receipt_stale"
    title = "The transaction was signed too long ago. Get the current one from StoreKit"


class NoSubscriptionInReceipt(Problem):
    status, error, title = 400, "no_subscription", "The receipt contains no subscription for this app"


class SandboxPurchase(Problem):
    status, error, title = 403, "sandbox_purchase", "Purchases in Apple's sandbox do not count on this server"


class ReceiptInUse(Problem):
    """Says nothing about the other account."""

    status, error, title = 409, "receipt_in_use", "This subscription belongs to another account"


class AppleDoesNotAcceptUs(Problem):
    status, error = 502, "apple_misconfigured"
    title = "Apple did not accept this server's credentials. The operators have been notified"


class AppleNotReachable(Problem):
    """Nothing was changed: a tier that was granted stays."""

    status, error, title = 503, "apple_unavailable", "Apple cannot be reached right now"

    def __init__(self) -> None:
        super().__init__(headers=retry_after(30))


def validate_receipt(
    apple: Apple, user_id: UUID, receipt: str, manage_urls: ManageUrls
) -> tuple[Tier, SubscriptionItem]:
    """The user's tier, whatever it comes from, and the subscription of this receipt that lasts longest.

    Can be repeated. Raises the problems above, and InvalidToken when the account is gone.
    """
    purchases = [each for each in _read(apple, receipt) if each.transaction.expires_at is not None]
    if not purchases:
        raise NoSubscriptionInReceipt
    with transaction() as session:
        user = lock_user(session, user_id)
        if user is None:
            raise InvalidToken
        now = apple.rules.clock()
        bound = _bind(apple, session, user_id, purchases, now)
        change = recompute_tier(session, user_id, cause=f"apple:{bound[0].apple_transaction_id}", now=now, held=user)
        validated = _describe(session, user_id, bound, manage_urls, now)
    announce_change(apple.rules.announce, change)
    return validated


def _read(apple: Apple, receipt: str) -> Iterable[ApplePurchase]:
    """Base64 has no dots, and a JWS has two."""
    try:
        return _signed(apple, receipt) if receipt.count(".") == 2 else _legacy(apple, receipt)
    except SignedDataForged as forged:
        apple.refused_forgery("receipt", str(forged))
        raise ReceiptNotValid from None
    except (ReceiptRefused, TransactionUnknown):
        raise ReceiptNotValid from None
    except AppleRefusesUs as refusal:
        apple.refuses_us(str(refusal))
        raise AppleDoesNotAcceptUs from None
    except AppleUnavailable:
        raise AppleNotReachable from None


def _signed(apple: Apple, signed: str) -> Iterable[ApplePurchase]:
    """The library judges a certificate at the date that the data itself names, so that date has to be believable."""
    found = apple.signatures.transaction(signed)
    now = apple.rules.clock()
    if found.signed_at > now + CLOCKS_DIFFER:
        raise SignedDataForged("signed in the future")
    if now - found.signed_at <= FRESH:
        return [ApplePurchase(found)]
    if apple.api is not None:
        known = apple.api.statuses(found.transaction_id, found.environment)
        return [each for each in known if each.transaction.original_id == found.original_id]
    if apple.online_checks:
        return [ApplePurchase(found)]
    raise ReceiptStale


def _legacy(apple: Apple, receipt: str) -> Iterable[ApplePurchase]:
    try:
        base64.b64decode(receipt, validate=True)
    except (binascii.Error, ValueError):
        raise ReceiptNotValid("receipt_data must be a base64 receipt or a signed transaction") from None
    if apple.receipts is not None:
        return apple.receipts.check(receipt)
    transaction_id = transaction_id_in(receipt)
    if apple.api is None or transaction_id is None:
        raise ReceiptNotValid
    return apple.api.statuses_anywhere(transaction_id)


def _bind(
    apple: Apple, session: Session, user_id: UUID, purchases: list[ApplePurchase], now: datetime
) -> list[Subscription]:
    """The rows that are the caller's now. What belongs to others is left alone, and refused when there is nothing else."""
    token = billing_customer(session, user_id, now).apple_account_token
    bound: list[UUID] = []
    refusals: list[type[Problem]] = []
    for purchase in purchases:
        transaction_ = purchase.transaction
        named = None if transaction_.family_shared else transaction_.account_token
        if named is not None and named != token:
            refusals.append(ReceiptInUse)
        elif not apple.sandbox.admits(session, transaction_.environment, user_id):
            refusals.append(SandboxPurchase)
        elif (recorded := apple.record(session, purchase, owner=user_id, proven=named is not None, now=now)) is None:
            refusals.append(NoSubscriptionInReceipt)
        elif recorded.user_id != user_id:
            refusals.append(ReceiptInUse)
        else:
            bound.append(recorded.subscription_id)
    if not bound:
        raise _told_first(refusals)
    return list(session.scalars(select(Subscription).where(Subscription.id.in_(bound))))


def _told_first(refusals: list[type[Problem]]) -> Problem:
    return min(refusals, key=(ReceiptInUse, SandboxPurchase, NoSubscriptionInReceipt).index)()


def _describe(
    session: Session, user_id: UUID, bound: list[Subscription], manage_urls: ManageUrls, now: datetime
) -> tuple[Tier, SubscriptionItem]:
    user = session.execute(select(User.tier, User.tier_expires_at).where(User.id == user_id)).one()
    longest = max(bound, key=lambda row: access_until(row) or row.created_at - FRESH)
    return effective_tier(Tier(user.tier), user.tier_expires_at, now), own_subscription(longest, manage_urls)
