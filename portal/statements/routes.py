"""`/portal/statements`: what each month cost, what of it is still to be paid, and paying it on a page of Stripe's."""

from itertools import islice
from uuid import UUID

from flask import Blueprint

from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SHOWS, PageQuery, SitePages, show
from auth.page_sessions.site import PORTAL
from auth.principal import Principal
from metering.purchase import Purchase
from payments.billing.bodies import StatementLine
from payments.billing.pay import BILLING_PERIOD, AmountTooSmall
from payments.billing.read import lines_of, list_own_periods, own_period
from payments.billing.routes import lines_as_csv
from payments.billing.rules import PeriodRules
from payments.billing.settle_by_hand import BillingPeriodSettled
from payments.billing.state import SMALLEST_PAYMENT, UNPAID
from payments.purchases.create import AmountTooLarge, OutOfStock, PaymentOpen
from payments.purchases.pay_page import PagePurchase, open_pay_page
from payments.stripe.problems import STRIPE_PROBLEMS
from payments.stripe.rules import StripeRules
from security.api.cursor import ListQuery
from security.api.operation import Answer, operation
from security.api.streams import Csv
from security.edge.problems import NotFound

LINES_SHOWN = 100
PAID = "paid"
DONE = {
    PAID: "Thank you. The statement is marked as paid when Stripe confirms the payment, usually within a minute.",
    "cancelled": "You have not been charged. You can pay later.",
}


class StatementsQuery(PageQuery, ListQuery):
    pass


def statement_pages(rules: PeriodRules, stripe: StripeRules | None, guards: PageGuards) -> Blueprint:
    pages = SitePages(PORTAL, "statements", __name__, done=DONE)

    @operation(
        pages,
        "GET",
        "",
        operation_id="statements",
        summary="Statements",
        guard=guards(),
        query=StatementsQuery,
        answers=SHOWS,
    )
    def statements(caller: Principal, query: StatementsQuery) -> Answer:
        page = list_own_periods(rules, caller.user_id, query.cursor, query.limit)
        return show("portal_statements.html", title="Statements", periods=page.items, next_cursor=page.next_cursor)

    @operation(
        pages,
        "GET",
        "/<uuid:billing_period_id>",
        operation_id="statement",
        summary="A statement",
        guard=guards(),
        query=PageQuery,
        answers=SHOWS,
        problems=(NotFound,),
    )
    def statement(caller: Principal, billing_period_id: UUID, query: PageQuery) -> Answer:
        period = own_period(rules, caller.user_id, billing_period_id)
        return show(
            "portal_statement.html",
            title=f"Statement of {period.period}",
            period=period,
            lines=list(islice(lines_of(period), LINES_SHOWN)),
            most=LINES_SHOWN,
            payable=period.state in UNPAID and period.amount_cents >= SMALLEST_PAYMENT,
            confirming=query.done == PAID and period.state in UNPAID,
            by_card=stripe is not None,
        )

    @operation(
        pages,
        "GET",
        "/<uuid:billing_period_id>/lines.csv",
        operation_id="statement_csv",
        summary="Download a statement",
        guard=guards(),
        answers={200: Csv(StatementLine, of_page=True)},
        problems=(NotFound,),
    )
    def lines_csv(caller: Principal, billing_period_id: UUID) -> Answer:
        return lines_as_csv(own_period(rules, caller.user_id, billing_period_id))

    if stripe is not None:
        add_paying(pages, rules, stripe, guards)
    return pages


def add_paying(pages: SitePages, rules: PeriodRules, stripe: StripeRules, guards: PageGuards) -> None:
    @operation(
        pages,
        "POST",
        "/<uuid:billing_period_id>",
        operation_id="pay_statement",
        summary="Pay a statement",
        guard=guards(),
        answers=SHOWS,
        problems=(
            NotFound,
            BillingPeriodSettled,
            AmountTooSmall,
            AmountTooLarge,
            OutOfStock,
            PaymentOpen,
            *STRIPE_PROBLEMS,
        ),
    )
    def pay(caller: Principal, billing_period_id: UUID) -> Answer:
        """A page that leads on to Stripe's. Browsers follow no redirect of a form to another site under our policy."""
        period = own_period(rules, caller.user_id, billing_period_id)
        here = f"{rules.pay_url}/statements/{billing_period_id}"
        page = open_pay_page(
            stripe,
            caller.user_id,
            PagePurchase(
                Purchase(BILLING_PERIOD, billing_period_id),
                f"Statement of {period.period}",
                success_url=f"{here}?done={PAID}",
                cancel_url=f"{here}?done=cancelled",
            ),
        )
        return show("portal_statement_pay.html", title="Pay at Stripe", period=period, page=page)
