"""End an open payment: its time is over, or its buyer wants to pay in another way. What was set aside is free again."""

from uuid import UUID

from payments.purchases.follow_intent import fetch_intent, fetched_by, follow_intent_now, give_up
from payments.purchases.page_id import BEGUN, is_page
from payments.stripe.objects import StripeCheckoutSession
from payments.stripe.problems import StripeObjectMissing
from payments.stripe.rules import StripeRules


def release(rules: StripeRules, payment_id: UUID, intent_id: str | None) -> int:
    """Stripe is asked first: if it was paid at the last moment, it is paid. 1 when it is over."""
    if intent_id is None or intent_id.startswith(BEGUN):
        return give_up(rules, payment_id, intent_id)
    try:
        if is_page(intent_id):
            return follow_page(rules, payment_id, rules.handler.expire_checkout_session(intent_id))
        fetched = fetch_intent(rules, intent_id)
        if fetched.intent.status == "processing":
            return 0  # the bank has not decided; what is set aside stays so
        if fetched.intent.status not in {"succeeded", "canceled"}:
            fetched = fetched_by(rules, lambda: rules.handler.cancel_intent(intent_id))
    except StripeObjectMissing:
        return give_up(rules, payment_id, intent_id)
    follow_intent_now(rules, fetched)
    return 1


def follow_page(rules: StripeRules, payment_id: UUID, page: StripeCheckoutSession) -> int:
    """Write down what came of a page. 1 when it is over."""
    if page.status == "complete" and page.intent_id is not None:
        follow_intent_now(rules, fetch_intent(rules, page.intent_id))
        return 1
    return give_up(rules, payment_id, page.id) if page.status == "expired" else 0


def follow_payment(rules: StripeRules, payment_id: UUID, intent_id: str) -> None:
    """Ask how it is. One that Stripe does not know is over."""
    try:
        if intent_id.startswith(BEGUN):
            return
        if is_page(intent_id):
            follow_page(rules, payment_id, rules.handler.checkout_session(intent_id))
        else:
            follow_intent_now(rules, fetch_intent(rules, intent_id))
    except StripeObjectMissing:
        give_up(rules, payment_id, intent_id)
