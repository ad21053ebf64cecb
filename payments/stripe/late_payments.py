"""Money that came for a subscription after its end. It bought nothing, so a person decides what becomes of it.

The event that told us keeps it in mind: its note says whether the money was given back.
"""

from uuid import UUID

import click
import orjson
from flask.cli import AppGroup
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from auth.models import User
from database import reading, transaction
from database.jobs.declare import JobName, Urgency, enqueue_job
from payments.models import BillingEvent, Subscription
from payments.stripe.objects import StripeInvoice, StripeSubscription
from payments.stripe.problems import CardDeclined, StripeObjectMissing, StripeRefused, StripeUnavailable
from payments.stripe.rules import StripeRules

GIVE_BACK_LATE = JobName("give_back_late_payment", Urgency.PAYMENTS)
KEPT, GIVEN_BACK = "paid after the end", "paid after the end, given back"


class NoLatePayment(LookupError):
    """No event of this id told of money that came too late and is still here."""


def is_late(invoice: StripeInvoice, subscription: StripeSubscription) -> bool:
    paid_at, ended_at = invoice.paid_at, subscription.ended_at
    return bool(invoice.amount_paid and paid_at and ended_at and paid_at > ended_at)


def note_late_payment(session: Session, event_id: UUID, invoice: StripeInvoice) -> str:
    """Of an account that cannot be used any more it goes back by itself. The note for the event."""
    owner_is_active = session.execute(
        select(User.is_active)
        .join(Subscription, Subscription.user_id == User.id)
        .where(Subscription.stripe_subscription_id == invoice.subscription_id)
    ).scalar_one_or_none()
    if not owner_is_active:
        enqueue_job(session, GIVE_BACK_LATE, event_id=str(event_id))
    return KEPT


def give_back_late_payment(rules: StripeRules, event_id: UUID) -> None:
    """Can be repeated. Raises NoLatePayment, and the problems of Stripe."""
    query = select(BillingEvent).where(BillingEvent.id == event_id, BillingEvent.last_error.in_({KEPT, GIVEN_BACK}))
    with reading() as session:
        row = session.scalars(query).one_or_none()
        invoice_id = None if row is None else invoice_of(row)
    intent_id = None if invoice_id is None else rules.handler.intent_of_invoice(invoice_id)
    if intent_id is None:
        raise NoLatePayment
    rules.handler.refund(intent_id, f"late:{invoice_id}")
    with transaction() as session:
        session.execute(update(BillingEvent).where(BillingEvent.id == event_id).values(last_error=GIVEN_BACK))


def invoice_of(row: BillingEvent) -> str:
    return str(orjson.loads(row.body)["data"]["object"]["id"])


def add_late_payment_commands(group: AppGroup, rules: StripeRules) -> None:
    @group.command("late")
    def late() -> None:
        """List late payments, oldest first.

        A late payment is for a subscription that had already ended.
        """
        query = select(BillingEvent).where(BillingEvent.last_error == KEPT).order_by(BillingEvent.id)
        with reading() as session:
            for row in session.scalars(query):
                click.echo(f"{row.id}  {row.received_at:%Y-%m-%d %H:%M:%S}  {invoice_of(row)}")

    @group.command("give-back")
    @click.argument("event_id", type=click.UUID)
    def give_back(event_id: UUID) -> None:
        """Refund a late payment.

        EVENT_ID is the first column of `flask payments late`. You can repeat this.
        """
        try:
            give_back_late_payment(rules, event_id)
        except (NoLatePayment, StripeObjectMissing):
            raise click.ClickException(
                "There is no late payment with this id. To list them, run `flask payments late`."
            ) from None
        except (StripeUnavailable, StripeRefused, CardDeclined) as problem:
            raise click.ClickException(str(problem)) from None
        click.echo("Refunded.")
