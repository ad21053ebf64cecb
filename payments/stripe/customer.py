"""The user's customer at Stripe: one for life, so that the portal shows everything and nothing is bought under two names."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from auth.models import User
from database import transaction
from payments.billing.customer import billing_customer
from payments.models import BillingCustomer, CheckoutIntent
from payments.stripe.problems import KEY_LIVES, StripeEmailRefused, StripeRefused
from payments.stripe.rules import StripeRules
from payments.subscriptions.grant_tier import lock_user
from payments.subscriptions.status import Provider
from security.edge.problems import InvalidToken

KIND = "customer"


@dataclass(frozen=True)
class Wanted:
    """A customer to be made. `key` stands for this one attempt, also when it is made again after a crash.

    `key_is_known`: whether Stripe still knows the key, and so tells a repetition from a new request.
    """

    key: UUID
    email: str
    key_is_known: bool


def stripe_customer(rules: StripeRules, user_id: UUID) -> str:
    """Made at the first need. Raises InvalidToken when the account is gone."""
    with transaction() as session:
        known = _known_or_wanted(rules, session, user_id)
    if isinstance(known, str):
        return known
    made = _make(rules, user_id, known)
    if made is None:
        return stripe_customer(rules, user_id)
    with transaction() as session:
        session.execute(
            update(BillingCustomer)
            .where(BillingCustomer.user_id == user_id, BillingCustomer.stripe_customer_id.is_(None))
            .values(stripe_customer_id=made)
        )
        session.execute(
            update(CheckoutIntent)
            .where(CheckoutIntent.id == known.key)
            .values(state="done", external_id=made, updated_at=rules.billing.clock())
        )
        return known_stripe_customer(session, user_id) or made


def forget_stripe_customer(session: Session, customer_id: str) -> None:
    """It was deleted at Stripe, or has to start anew, in another currency for example. The next purchase makes a new one, and what
    the old one has bought stays with its owner.
    """
    session.execute(
        update(BillingCustomer)
        .where(BillingCustomer.stripe_customer_id == customer_id, BillingCustomer.user_id.is_not(None))
        .values(stripe_customer_id=None)
    )


def _make(rules: StripeRules, user_id: UUID, wanted: Wanted) -> str | None:
    """None when the attempt was too long ago to be repeated and came to nothing: the next one begins anew."""
    if not wanted.key_is_known:
        made = rules.handler.customer_made_for(user_id, wanted.email)
        if made is None:
            _give_up(rules, wanted)
        return made
    try:
        return rules.handler.create_customer(user_id, wanted.email, str(wanted.key))
    except StripeEmailRefused:
        return rules.handler.create_customer(user_id, None, f"{wanted.key}:without-email")
    except StripeRefused:
        _give_up(rules, wanted)
        raise


def _give_up(rules: StripeRules, wanted: Wanted) -> None:
    with transaction() as session:
        session.execute(
            update(CheckoutIntent)
            .where(CheckoutIntent.id == wanted.key, CheckoutIntent.state == "open")
            .values(state="failed", updated_at=rules.billing.clock())
        )


def _known_or_wanted(rules: StripeRules, session: Session, user_id: UUID) -> str | Wanted:
    if not lock_user(session, user_id):
        raise InvalidToken
    now = rules.billing.clock()
    customer = billing_customer(session, user_id, now)
    if customer.stripe_customer_id is not None:
        return customer.stripe_customer_id
    open_intent = session.scalars(
        select(CheckoutIntent).where(
            CheckoutIntent.user_id == user_id, CheckoutIntent.kind == KIND, CheckoutIntent.state == "open"
        )
    ).one_or_none()
    if open_intent is None:
        # The address stands in the request, and a key stands for one request: it is kept as it was at that time.
        email = session.execute(select(User.email).where(User.id == user_id)).scalar_one()
        open_intent = CheckoutIntent(
            user_id=user_id, provider=Provider.STRIPE, kind=KIND, parameters=email, created_at=now, updated_at=now
        )
        session.add(open_intent)
        session.flush()
    return Wanted(open_intent.id, open_intent.parameters or "", open_intent.created_at + KEY_LIVES > now)


def known_stripe_customer(session: Session, user_id: UUID) -> str | None:
    query = select(BillingCustomer.stripe_customer_id).where(BillingCustomer.user_id == user_id)
    return session.execute(query).scalar_one_or_none()
