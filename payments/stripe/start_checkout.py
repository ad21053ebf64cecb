"""Begin to buy a plan: a page of Stripe's, for one plan, one user and a short time."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from database import transaction
from payments.models import CHECKOUT, CheckoutIntent
from payments.product_table import Product
from payments.stripe.bodies import CheckoutAnswer, CheckoutBody
from payments.stripe.customer import forget_stripe_customer, stripe_customer
from payments.stripe.explain_refusal import PlanNotOnSale, explain_refusal
from payments.stripe.problems import KEY_LIVES, StripeObjectMissing, StripeRefused
from payments.stripe.refresh import refresh
from payments.stripe.rules import StripeRules
from payments.subscriptions.before_a_sale import present_seller, trial_used
from payments.subscriptions.grant_tier import lock_user
from payments.subscriptions.status import Provider
from security.edge.problems import InvalidToken, Problem

LIVES = timedelta(minutes=60)
"""Stripe allows 30 minutes to a day. Short, so that a page left open in another tab cannot be paid much later."""
LEAST_LEFT = timedelta(minutes=2)
OVER = {"complete": "done", "expired": "expired"}
"""What Stripe calls the end of a page, and we."""


class AlreadySubscribed(Problem):
    """`managed_by` says where the present subscription is changed instead."""

    status, error, title = 409, "already_subscribed", "You already have a subscription. Change that one instead"


@dataclass(frozen=True)
class Intent:
    """An intent of ours as it stands in the database."""

    id: UUID
    tier: str | None
    cycle: str | None
    session_id: str | None
    parameters: dict[str, Any]
    is_new: bool

    def is_for(self, order: CheckoutBody) -> bool:
        return (self.tier, self.cycle) == (order.tier.value, order.billing_cycle.value)


def start_checkout(rules: StripeRules, user_id: UUID, order: CheckoutBody) -> CheckoutAnswer:
    """Asking twice gives the same page. Asking for another plan closes the first page.

    Raises ValidationFailed, PlanNotOnSale, CurrencyDiffers, AlreadySubscribed, and the problems of Stripe.
    """
    rules.redirects.checked(order.success_url, "success_url")
    rules.redirects.checked(order.cancel_url, "cancel_url")
    product = rules.prices.on_sale.get((order.tier.tier, order.billing_cycle))
    if product is None:
        raise PlanNotOnSale
    with transaction() as session:
        refuse_second_purchase(rules, session, user_id)
    customer_id = stripe_customer(rules, user_id)
    for _ in range(3):
        intent = open_intent(rules, user_id, order, product, customer_id)
        if not intent.is_for(order):
            close_page(rules, intent)
        elif (started := page_of(rules, intent, customer_id)) is not None:
            return started
        else:
            customer_id = stripe_customer(rules, user_id)
    raise StripeRefused


def refuse_second_purchase(rules: StripeRules, session: Session, user_id: UUID) -> None:
    now = rules.billing.clock()
    user = lock_user(session, user_id)
    if user is None or not user.is_active:
        raise InvalidToken
    seller = present_seller(session, user_id, rules.handler.address.environment, now)
    if seller is not None:
        raise AlreadySubscribed(managed_by=seller.provider.value)


def open_intent(rules: StripeRules, user_id: UUID, order: CheckoutBody, product: Product, customer_id: str) -> Intent:
    """The user's one open intent, written down before Stripe hears of it."""
    now = rules.billing.clock()
    with transaction() as session:
        refuse_second_purchase(rules, session, user_id)
        found = session.scalars(
            select(CheckoutIntent)
            .where(CheckoutIntent.user_id == user_id, CheckoutIntent.kind == CHECKOUT, CheckoutIntent.state == "open")
            .with_for_update()
        ).one_or_none()
        if found is not None and (found.external_id is not None or found.created_at + KEY_LIVES > now):
            return intent_of(found, is_new=False)
        if found is not None:
            found.state, found.updated_at = "failed", now
            session.flush()
        made = CheckoutIntent(
            user_id=user_id,
            provider=Provider.STRIPE,
            kind=CHECKOUT,
            tier=order.tier,
            billing_cycle=order.billing_cycle,
            expires_at=now + LIVES,
            created_at=now,
            updated_at=now,
        )
        session.add(made)
        session.flush()
        trial = timedelta() if trial_used(session, user_id) else rules.trial
        parameters = session_parameters(rules, made, product=product, order=order, customer_id=customer_id, trial=trial)
        made.parameters = orjson.dumps(parameters).decode()
        session.flush()
        return intent_of(made, is_new=True)


def intent_of(row: CheckoutIntent, *, is_new: bool) -> Intent:
    return Intent(row.id, row.tier, row.billing_cycle, row.external_id, orjson.loads(row.parameters or "{}"), is_new)


def session_parameters(
    rules: StripeRules,
    intent: CheckoutIntent,
    *,
    product: Product,
    order: CheckoutBody,
    customer_id: str,
    trial: timedelta,
) -> dict[str, Any]:
    """The session's own metadata reaches no other event, so the subscription gets the same."""
    assert intent.expires_at is not None
    named = {"user_id": str(intent.user_id), "checkout_id": str(intent.id)}
    subscription: dict[str, Any] = {"metadata": named}
    if trial:
        subscription["trial_period_days"] = trial.days
    back = rules.redirects.back
    done = back("paid", checkout="success", payment_id=str(intent.id), session_id="{CHECKOUT_SESSION_ID}")
    return {
        "mode": "subscription",
        "customer": customer_id,
        "client_reference_id": str(intent.user_id),
        "line_items": [{"price": product.product_id, "quantity": 1}],
        "metadata": named,
        "subscription_data": subscription,
        "success_url": order.success_url or done,
        "cancel_url": order.cancel_url or back("cancelled", checkout="cancelled"),
        "expires_at": int(intent.expires_at.timestamp()),
    }


def page_of(rules: StripeRules, intent: Intent, customer_id: str) -> CheckoutAnswer | None:
    """The intent's open page. None when it has none any more: then a new intent is needed."""
    try:
        if intent.session_id is None:
            session = rules.handler.create_checkout_session(intent.parameters, str(intent.id))
        else:
            session = rules.handler.checkout_session(intent.session_id)
    except StripeObjectMissing as missing:
        mark_checkout(rules, intent.id, "failed")
        if missing.param == "customer":
            with transaction() as database_session:
                forget_stripe_customer(database_session, customer_id)
        elif intent.is_new:
            raise StripeRefused from None
        return None
    except StripeRefused:
        mark_checkout(rules, intent.id, "failed")
        if not intent.is_new:
            return None  # it waited too long to be sent as it was written down
        explain_refusal(rules, intent.parameters["line_items"][0]["price"], customer_id)
        raise
    if session.status == "complete":
        mark_checkout(rules, intent.id, "done", session.id)
        if session.subscription_id is not None:
            refresh(rules, session.subscription_id, f"checkout:{intent.id}")
        raise AlreadySubscribed(managed_by=Provider.STRIPE.value)
    if session.status != "open" or session.url is None or session.expires_at < rules.billing.clock() + LEAST_LEFT:
        mark_checkout(rules, intent.id, "expired", session.id)
        return None
    mark_checkout(rules, intent.id, "open", session.id)
    return CheckoutAnswer(
        payment_id=intent.id, session_id=session.id, checkout_url=session.url, expires_at=session.expires_at
    )


def close_page(rules: StripeRules, intent: Intent) -> None:
    """The user wants another plan: the page for the first one must not be paid as well."""
    session_id = intent.session_id
    try:
        if session_id is None:
            # It may or may not exist: the same key says which, and makes it if not.
            session_id = rules.handler.create_checkout_session(intent.parameters, str(intent.id)).id
        session = rules.handler.expire_checkout_session(session_id)
    except (StripeObjectMissing, StripeRefused):
        mark_checkout(rules, intent.id, "failed")
        return
    mark_checkout(rules, intent.id, "done" if session.status == "complete" else "expired", session_id)
    if session.subscription_id is not None:
        refresh(rules, session.subscription_id, f"checkout:{intent.id}")


def mark_checkout(rules: StripeRules, intent_id: UUID, state: str, session_id: str | None = None) -> None:
    """Only an open intent changes."""
    values: dict[str, Any] = {"state": state, "updated_at": rules.billing.clock()}
    if session_id is not None:
        values["external_id"] = session_id
    with transaction() as session:
        session.execute(
            update(CheckoutIntent)
            .where(CheckoutIntent.id == intent_id, CheckoutIntent.state == "open")
            .values(**values)
        )
