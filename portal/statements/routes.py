"""`/portal/statements`: what each month cost, and what of it is still to be paid."""

from itertools import islice
from uuid import UUID

from flask import Blueprint

from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SHOWS, PageQuery, SitePages, show
from auth.page_sessions.site import PORTAL
from auth.principal import Principal
from payments.billing.bodies import StatementLine
from payments.billing.read import lines_of, list_own_periods, own_period
from payments.billing.routes import lines_as_csv
from payments.billing.rules import PeriodRules
from security.api.cursor import ListQuery
from security.api.operation import Answer, operation
from security.api.streams import Csv
from security.edge.problems import NotFound

LINES_SHOWN = 100


class StatementsQuery(PageQuery, ListQuery):
    pass


def statement_pages(rules: PeriodRules, guards: PageGuards) -> Blueprint:
    pages = SitePages(PORTAL, "statements", __name__)

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
        answers=SHOWS,
        problems=(NotFound,),
    )
    def statement(caller: Principal, billing_period_id: UUID) -> Answer:
        period = own_period(rules, caller.user_id, billing_period_id)
        return show(
            "portal_statement.html",
            title=f"Statement of {period.period}",
            period=period,
            lines=list(islice(lines_of(period), LINES_SHOWN)),
            most=LINES_SHOWN,
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

    return pages
