"""Writing down what a provider says of one subscription. An older fact never replaces a newer one."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import InstrumentedAttribute, Session

from auth.tiers import Tier
from database import transaction
from payments.models import FETCH_VERSIONS, Subscription
from payments.subscriptions.entitlement import access_until
from payments.subscriptions.status import Provider, SubscriptionStatus

PAYING = frozenset({SubscriptionStatus.ACTIVE, SubscriptionStatus.TRIALING})


@dataclass(frozen=True)
class RecurringPrice:
    """`amount` is minor units of the currency (ISO 4217, lower case) for each `months`."""

    amount: int
    currency: str
    months: int


@dataclass(frozen=True)
class SubscriptionFact:
    """What a provider says of one of its subscriptions.

    Facts are ordered by `epoch`, then by `version`. Stripe: epoch 0, version of `fetch_version`. Apple: the purchase date
    of the transaction and the moment at which it was signed, in milliseconds; its renewal is signed by itself, hence
    `renewal_version`. None: as old as the rest.
    `tier` comes from our own table of products, never from what a client or a provider calls it; None for a product that
    is not there: a known subscription then keeps the tier that it has, an unknown one is not written down.
    With `renewal_known=False` (a transaction from a device) what is known of the renewal of the same period stays.
    The renewal says `cancel_at`, `pending_tier`, the grace, and every status but revoked.
    """

    provider: Provider
    environment: str
    external_id: str
    """Stripe's subscription id, or Apple's original transaction id."""
    product_id: str
    tier: Tier | None
    status: SubscriptionStatus
    provider_status: str
    version: int
    epoch: int = 0
    period_end: datetime | None = None
    grace_end: datetime | None = None
    """Without one, a grace begins at the first failure and lasts as long as the settings say."""
    payment_failed_at: datetime | None = None
    cancel_at: datetime | None = None
    revoked_at: datetime | None = None
    pending_tier: Tier | None = None
    trial: bool = False
    price: RecurringPrice | None = None
    """None when the provider did not say, or nobody pays."""
    renewal_known: bool = True
    renewal_version: int | None = None


@dataclass(frozen=True)
class Recorded:
    """`user_id` is the owner now; None when there is none yet, or the owner's account is gone (`was_owned`)."""

    subscription_id: UUID
    user_id: UUID | None
    was_owned: bool
    is_new: bool
    """Whether this was the first that was heard of the subscription."""


def fetch_version() -> int:
    """Draw it before asking the provider. It is a transaction of its own.

    Of two answers the one that was asked for later is the newer. One that was asked for before a change may miss it, but
    the change has an event of its own, which is asked for after it.
    """
    with transaction() as session:
        version: int = session.execute(FETCH_VERSIONS.next_value()).scalar_one()
        return version


def record_subscription(
    session: Session,
    fact: SubscriptionFact,
    *,
    owner: UUID | None,
    grace: timedelta,
    now: datetime,
    owner_is_proven: bool = False,
) -> Recorded | None:
    """Write the fact down and bind the subscription to `owner` if nobody ever owned it. Locks the subscription's row.

    `owner_is_proven` says that the provider itself names this owner, as Apple does by our account token. Then a subscription
    whose owner's account is gone may be bound anew: its customer bought again, for a new account.
    Lock the owner's row first (`lock_user`), and give them their tier afterwards (`recompute_tier`). None when the
    subscription is unknown and so is its product.
    """
    _insert_or_claim(session, fact, owner, owner_is_proven, now)
    row = session.scalars(
        select(Subscription)
        .where(Subscription.environment == fact.environment, id_column(fact.provider) == fact.external_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    if row is None:
        return None
    if fact.status is SubscriptionStatus.UNKNOWN:
        fact = _keeping_what_was_granted(row, fact)
    is_new = row.source_version == 0
    _apply(row, fact, grace, now)
    session.flush()
    return Recorded(row.id, row.user_id, row.bound_at is not None, is_new)


def id_column(provider: Provider) -> InstrumentedAttribute[str | None]:
    """The column of the provider's own id."""
    match provider:
        case Provider.STRIPE:
            return Subscription.stripe_subscription_id
        case Provider.APPLE:
            return Subscription.apple_transaction_id
        case Provider.MANUAL:
            raise ValueError("a manual subscription has no id outside")


def noticeable(row: Subscription) -> tuple[object, ...]:
    """What a person could notice of it. Reconciling counts as drift what changes this."""
    ends = (row.period_end, row.grace_end, row.cancel_at, row.revoked_at)
    return row.user_id, row.status, row.tier, row.pending_tier, *ends


def _insert_or_claim(
    session: Session, fact: SubscriptionFact, owner: UUID | None, owner_is_proven: bool, now: datetime
) -> None:
    """One statement decides who owns it: of two accounts that claim it at once, the second finds it bound."""
    column = id_column(fact.provider)
    if fact.tier is None:
        return
    new = insert(Subscription).values(
        user_id=owner,
        bound_at=now if owner is not None else None,
        provider=fact.provider,
        environment=fact.environment,
        **{column.key: fact.external_id},
        tier=fact.tier,
        status=SubscriptionStatus.INCOMPLETE,
        created_at=now,
        updated_at=now,
    )
    unique = [Subscription.environment, column] if fact.provider is Provider.APPLE else [column]
    if owner is None:
        session.execute(new.on_conflict_do_nothing(index_elements=unique))
    else:
        claimed = new.on_conflict_do_update(
            index_elements=unique,
            set_={"user_id": owner, "bound_at": now, "updated_at": now},
            where=Subscription.user_id.is_(None) if owner_is_proven else Subscription.bound_at.is_(None),
        )
        session.execute(claimed)


def _apply(row: Subscription, fact: SubscriptionFact, grace: timedelta, now: datetime) -> None:
    """Transaction and renewal of one period are each as new as they were signed, and replace their own part."""
    if fact.epoch < row.source_epoch:
        return
    new_period = row.source_version == 0 or fact.epoch > row.source_epoch
    renewal_version = fact.version if fact.renewal_version is None else fact.renewal_version
    transaction_is_newer = new_period or fact.version >= row.source_version
    renewal_is_newer = new_period or (fact.renewal_known and renewal_version >= row.renewal_version)
    if not (transaction_is_newer or renewal_is_newer):
        return
    access_before = access_until(row)
    row.status = _merged_status(row, fact, transaction_is_newer, renewal_is_newer)
    row.provider_status = fact.provider_status
    row.updated_at = now
    row.trial = row.trial or fact.trial
    row.source_epoch = fact.epoch
    if transaction_is_newer:
        _set_price(row, fact)
        row.product_id = fact.product_id
        row.tier = fact.tier or row.tier
        row.period_end = fact.period_end
        row.revoked_at = fact.revoked_at
        row.source_version = fact.version
    if renewal_is_newer:
        row.cancel_at = fact.cancel_at
        row.pending_tier = fact.pending_tier
        _set_grace(row, fact, grace, now)
        row.renewal_version = renewal_version if fact.renewal_known else 0
    if access_until(row) is not None:
        row.lapsed_at = None
    elif row.lapsed_at is None:
        row.lapsed_at = min(now, access_before or now)


def _set_price(row: Subscription, fact: SubscriptionFact) -> None:
    """The price of a trial is not paid yet. One that ended keeps what was paid for it."""
    if fact.status is not SubscriptionStatus.ACTIVE or (fact.price is None and fact.product_id == row.product_id):
        return
    if fact.price is None:
        row.price_amount = row.price_currency = row.price_months = None
    else:
        row.price_amount, row.price_currency = fact.price.amount, fact.price.currency
        row.price_months = fact.price.months


def _merged_status(
    row: Subscription, fact: SubscriptionFact, transaction_is_newer: bool, renewal_is_newer: bool
) -> str:
    """A transaction says whether it was revoked, a renewal everything else."""
    revoked = {SubscriptionStatus.REVOKED.value}
    if transaction_is_newer and renewal_is_newer:
        return fact.status
    if transaction_is_newer:
        return fact.status if revoked & {row.status, fact.status} else row.status
    return row.status if revoked & {row.status, fact.status} else fact.status


def _keeping_what_was_granted(row: Subscription, fact: SubscriptionFact) -> SubscriptionFact:
    """Nothing new is granted on a word that we do not know."""
    return replace(fact, period_end=access_until(row), cancel_at=None)


def _set_grace(row: Subscription, fact: SubscriptionFact, grace: timedelta, now: datetime) -> None:
    """The grace begins at the first failure: every further one leaves its end where it is."""
    if fact.status in PAYING:
        row.payment_failed_at = None
    elif fact.status is SubscriptionStatus.GRACE:
        row.payment_failed_at = row.payment_failed_at or fact.payment_failed_at or now
    row.grace_end = fact.grace_end
    if fact.status is SubscriptionStatus.GRACE and fact.grace_end is None and row.payment_failed_at is not None:
        row.grace_end = row.payment_failed_at + grace
