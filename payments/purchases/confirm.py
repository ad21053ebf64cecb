"""Pay an open payment with a card that Stripe knows: the card's number never comes here."""

from uuid import UUID

from sqlalchemy import select

from database import reading
from payments.models import Payment
from payments.purchases.bodies import OpenPaymentAnswer
from payments.purchases.create import followed, open_payment
from payments.purchases.follow_intent import (
    FetchedIntent,
    fetch_intent,
    fetched_by,
    follow_intent_now,
    give_up,
    purchase_of,
)
from payments.purchases.page_id import is_page
from payments.purchases.status import OPEN, PaymentStatus
from payments.stripe.problems import CardDeclined, StripeObjectMissing, StripeStateConflict
from payments.stripe.rules import StripeRules
from security.edge.problems import NotFound, Problem, ValidationFailed


class PaymentClosed(Problem):
    """`payment_status` says how it ended."""

    status, error, title = 409, "payment_closed", "This payment is closed and can no longer be paid"


def confirm_intent(rules: StripeRules, user_id: UUID, payment_id: UUID, payment_method: str) -> OpenPaymentAnswer:
    """A payment that was made already is answered as such. Raises NotFound, PaymentClosed, CardDeclined, ValidationFailed, and what
    the purchase raises when it comes too late.
    """
    with reading() as session:
        row = session.scalars(select(Payment).where(Payment.id == payment_id, Payment.user_id == user_id)).one_or_none()
        if row is None or row.external_id is None or is_page(row.external_id):
            raise NotFound
        intent_id = row.external_id
        if row.status == PaymentStatus.SUCCEEDED:
            return open_payment(row)
        if row.status not in OPEN:
            raise PaymentClosed(payment_status=row.status)
        rules.purchases_of(row.purchase_kind).refuse_late(session, purchase_of(row))
    try:
        fetched = confirmed(rules, intent_id, payment_method)
    except StripeObjectMissing as missing:
        if missing.param != "payment_method":
            give_up(rules, payment_id, intent_id)
            raise PaymentClosed(payment_status=PaymentStatus.CANCELED.value) from None
        message = "This is not a payment method that this server can use"
        raise ValidationFailed(
            [{"pointer": "/payment_method", "code": "unknown_payment_method", "message": message}]
        ) from None
    return followed(rules, payment_id, fetched)


def confirmed(rules: StripeRules, intent_id: str, payment_method: str) -> FetchedIntent:
    try:
        return fetched_by(rules, lambda: rules.handler.confirm_intent(intent_id, payment_method))
    except CardDeclined:
        follow_intent_now(rules, fetch_intent(rules, intent_id))
        raise
    except StripeStateConflict:
        return fetch_intent(rules, intent_id)  # somebody was quicker: the webhook, or the same click twice
