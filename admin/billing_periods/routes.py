"""`/admin/billing-periods`: statements, their lines, and what the staff decide about them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from admin.billing_periods.bodies import CreditForm, PeriodsQuery
from admin.billing_periods.read import list_statements, read_statement
from admin.list_filter import whose
from admin.reason import ReasonForm
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SHOWS, SitePages, Subject, act_with_form, see_other, show
from auth.page_sessions.site import ADMIN
from auth.principal import Principal, Role
from payments.billing.give_credit import credit_statement
from payments.billing.read import Wanted
from payments.billing.rules import PeriodRules
from payments.billing.settle_by_hand import BillingPeriodSettled, mark_paid, waive
from payments.billing.state import UNPAID, PeriodState
from security.api.operation import Answer, operation
from security.api.request_bodies import Form
from security.edge.problems import NotFound
from security.logs.log import security_event

NAME: Final = "billing-periods"
PATH: Final = f"{ADMIN.root}/{NAME}"
CLOSED_STATES: Final = [each for each in PeriodState if each is not PeriodState.OPEN]
DONE: Final = {
    "paid": "The statement is marked as paid.",
    "waived": "The statement is waived.",
    "credited": "The credit is given. It comes off the next statement.",
}


@dataclass(frozen=True)
class Act:
    """What is decided about a statement with a reason alone."""

    path: str
    operation_ids: tuple[str, str]
    title: str
    explanation: str
    button: str
    done: str
    command: Callable[..., bool]


ACTS: Final = (
    Act(
        "mark-paid",
        ("confirmStatementPaid", "markStatementPaid"),
        "Mark as paid",
        "For a statement that was paid in another way, such as by bank transfer. If it was overdue, calls that cost money work again.",
        "Mark as paid",
        "paid",
        mark_paid,
    ),
    Act(
        "waive",
        ("confirmStatementWaiver", "waiveStatement"),
        "Waive a statement",
        "Nobody asks for this amount any more. If it was overdue, calls that cost money work again. You cannot undo this.",
        "Waive statement",
        "waived",
        waive,
    ),
)


def billing_period_pages(rules: PeriodRules) -> Subject:
    return Subject(NAME, "Billing periods", lambda guards: billing_period_routes(guards, rules))


def billing_period_routes(guards: PageGuards, rules: PeriodRules) -> SitePages:
    pages = SitePages(ADMIN, NAME, __name__, done=DONE)

    @operation(
        pages,
        "GET",
        "",
        operation_id="listStatements",
        summary="List billing periods",
        guard=guards(),
        query=PeriodsQuery,
        answers=SHOWS,
    )
    def periods(caller: Principal, query: PeriodsQuery) -> Answer:
        account = whose(caller, query.account)
        listed = None
        if account.hint is None:
            security_event("billing_periods_read", actor_id=caller.user_id, subject_id=account.user_id)
            listed = list_statements(Wanted(account.user_id, query.state, query.period), query.cursor, query.limit)
        return show(
            "billing_list.html",
            title="Billing periods",
            hint=account.hint,
            listed=listed,
            states=CLOSED_STATES,
            unpaid=UNPAID,
            may_act=caller.role is Role.ADMIN,
        )

    @operation(
        pages,
        "GET",
        "/<uuid:period_id>",
        operation_id="getStatement",
        summary="See a billing period",
        guard=guards(),
        answers=SHOWS,
        problems=(NotFound,),
    )
    def one(caller: Principal, period_id: UUID) -> Answer:
        found = read_statement(period_id)
        security_event("billing_periods_read", actor_id=caller.user_id, subject_id=found.period.user_id)
        return show(
            "billing_one.html",
            title=f"Statement of {found.period.period}",
            found=found,
            unpaid=UNPAID,
            may_act=caller.role is Role.ADMIN,
        )

    def add(act: Act) -> None:
        def confirm(caller: Principal, period_id: UUID) -> Answer:
            return show("billing_act.html", title=act.title, found=read_statement(period_id), act=act)

        def do(caller: Principal, period_id: UUID, body: ReasonForm) -> Answer:
            act.command(rules, period_id, by=caller.user_id, reason=body.reason)
            return see_other(f"{PATH}/{period_id}", act.done)

        act_with_form(
            pages,
            f"/<uuid:period_id>/{act.path}",
            operation_ids=act.operation_ids,
            summary=act.title,
            guard=guards(Role.ADMIN, fresh=True),
            form=confirm,
            act=do,
            body=Form(ReasonForm),
            problems=(NotFound, BillingPeriodSettled),
        )

    for each in ACTS:
        add(each)

    def credit_form(caller: Principal, period_id: UUID) -> Answer:
        return show("billing_credit.html", title="Give a credit", found=read_statement(period_id))

    def credit(caller: Principal, period_id: UUID, body: CreditForm) -> Answer:
        credit_statement(rules, period_id, body.amount, body.reason, by=caller.user_id)
        return see_other(f"{PATH}/{period_id}", "credited")

    act_with_form(
        pages,
        "/<uuid:period_id>/credit",
        operation_ids=("showCreditForm", "giveCredit"),
        summary="Give a credit",
        guard=guards(Role.ADMIN, fresh=True),
        form=credit_form,
        act=credit,
        body=Form(CreditForm),
        problems=(NotFound,),
    )
    return pages
