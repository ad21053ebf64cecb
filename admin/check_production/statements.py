"""Whoever is charged can pay."""

from collections.abc import Iterator

from flask import Flask
from sqlalchemy import exists, select

from database import reading
from metering.models import Charge
from payments.billing.state import UNPAID
from payments.models import BillingPeriod
from settings.production_check import ProductionCheck, Shortcoming


def statements_check(app: Flask) -> ProductionCheck:
    """For a deployment without Stripe."""
    right = "No call is charged, and no statement waits to be paid."
    return ProductionCheck("statements", right, lambda: find(app), needs="migrations")


def find(app: Flask) -> Iterator[Shortcoming]:
    waiting = exists().where(Charge.statement_id.is_(None))
    unpaid = exists().where(BillingPeriod.state.in_(UNPAID))
    with app.app_context(), reading() as session:
        charged = session.scalars(select(waiting | unpaid)).one()
    if charged:
        yield Shortcoming(
            "Calls are charged, but nobody can pay: Stripe is not set up.",
            "Set STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET, or set the prices of calls to 0 (flask settings list). "
            "What was paid in another way: flask billing-periods mark-paid",
            fails=False,
        )
