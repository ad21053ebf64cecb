"""`/api/payments/billing-periods`: a user's monthly statements, and paying them."""

from collections.abc import Iterator
from uuid import UUID

from flask import Blueprint

from auth.principal import Principal
from metering.purchase import Purchase
from payments.billing.bodies import BillingPeriodAnswer, BillingPeriodsAnswer, PaidPeriod, StatementLine
from payments.billing.pay import BILLING_PERIOD, AmountTooSmall
from payments.billing.read import Line, Period, lines_of, list_own_periods, own_period
from payments.billing.rules import PeriodRules
from payments.billing.settle_by_hand import BillingPeriodSettled
from payments.purchases.bodies import OpenPaymentAnswer
from payments.purchases.create import AmountTooLarge, OutOfStock, create_intent
from payments.purchases.routes import pay_once
from payments.stripe.idempotency import KEY_PROBLEMS, REPLAYED_HEADER
from payments.stripe.problems import STRIPE_PROBLEMS
from payments.stripe.rules import StripeRules
from security.api.cursor import ListQuery
from security.api.operation import Answer, Guard, operation
from security.api.streams import Csv
from security.edge.problems import NotFound


def billing_routes(rules: PeriodRules, stripe: StripeRules | None, *, signed_in: Guard, owner: Guard) -> Blueprint:
    routes = Blueprint("billing", __name__, url_prefix="/api/payments/billing-periods")

    @operation(
        routes,
        "GET",
        "",
        operation_id="listBillingPeriods",
        summary="List your statements",
        guard=signed_in,
        query=ListQuery,
        answers={200: BillingPeriodsAnswer},
    )
    def periods(caller: Principal, query: ListQuery) -> Answer:
        """Returns one statement for each UTC month with requests that cost money, the newest first. The month that still runs is
        there too, as `open`.
        """
        page = list_own_periods(rules, caller.user_id, query.cursor, query.limit)
        return Answer(
            200, BillingPeriodsAnswer(billing_periods=list(map(_answer, page.items)), next_cursor=page.next_cursor)
        )

    @operation(
        routes,
        "GET",
        "/<uuid:billing_period_id>",
        operation_id="getBillingPeriod",
        summary="Get one of your statements",
        guard=signed_in,
        answers={200: BillingPeriodAnswer},
        problems=(NotFound,),
    )
    def period(caller: Principal, billing_period_id: UUID) -> Answer:
        """Its id stays the same when the month is closed."""
        return Answer(200, _answer(own_period(rules, caller.user_id, billing_period_id)))

    @operation(
        routes,
        "GET",
        "/<uuid:billing_period_id>/lines.csv",
        operation_id="downloadBillingPeriod",
        summary="Download the lines of a statement as CSV",
        guard=signed_in,
        answers={200: Csv(StatementLine)},
        problems=(NotFound,),
    )
    def lines(caller: Principal, billing_period_id: UUID) -> Answer:
        """Returns credits first, then each request that was charged. The amount of the statement is their sum, rounded once, half
        up, to cents. It is never below 0: credits that are left stand in the next statement.
        """
        return lines_as_csv(own_period(rules, caller.user_id, billing_period_id))

    if stripe is not None:
        add_paying(routes, stripe, owner)
    return routes


def add_paying(routes: Blueprint, stripe: StripeRules, owner: Guard) -> None:
    @operation(
        routes,
        "POST",
        "/<uuid:billing_period_id>/pay",
        operation_id="payBillingPeriod",
        summary="Pay a statement",
        guard=owner,
        answers={200: OpenPaymentAnswer},
        accepts_idempotency_key=True,
        answer_headers=REPLAYED_HEADER,
        problems=(
            NotFound,
            BillingPeriodSettled,
            AmountTooSmall,
            AmountTooLarge,
            OutOfStock,
            *STRIPE_PROBLEMS,
            *KEY_PROBLEMS,
        ),
    )
    def pay(caller: Principal, billing_period_id: UUID, idempotency_key: str | None) -> Answer:
        """Opens a payment at Stripe, as for a one-off item. Confirm it with `client_secret` on the payer's device, or with
        `confirmPayment`. If you ask again while it is open, you get the same payment.
        """
        return pay_once(
            stripe,
            caller.user_id,
            "payBillingPeriod",
            key=idempotency_key,
            body=PaidPeriod(billing_period_id=billing_period_id),
            make=lambda: create_intent(stripe, caller.user_id, Purchase(BILLING_PERIOD, billing_period_id)),
        )


def _answer(period: Period) -> BillingPeriodAnswer:
    return BillingPeriodAnswer(
        id=period.id,
        period=period.period,
        state=period.state,
        requests=period.requests,
        credits_cents=period.credits_cents,
        amount_cents=period.amount_cents,
        currency=period.currency,
        closed_at=period.closed_at,
        due_at=period.due_at,
        paid_at=period.paid_at,
        payment_id=period.payment_id,
    )


def lines_as_csv(period: Period) -> Answer:
    name = f"statement-{period.period}.csv"
    lines = _csv(lines_of(period), period.currency)
    return Answer(200, lines, {"Content-Disposition": f'attachment; filename="{name}"'})


def _csv(lines: Iterator[Line], currency: str) -> Iterator[StatementLine]:
    for line in lines:
        yield StatementLine(
            kind=line.kind, id=line.id, at=line.at, about=line.about, amount_micros=line.micros, currency=currency
        )
