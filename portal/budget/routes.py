"""`/portal/budget`: the most that may be charged in a month."""

import re
from decimal import Decimal
from typing import Annotated

from flask import Blueprint
from pydantic import AfterValidator, Field

from auth.assembly import Auth
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SENDS_ON, SHOWS, PageQuery, SitePages, see_other, show
from auth.page_sessions.site import PORTAL
from auth.principal import Principal
from metering.usage.bodies import LARGEST_BUDGET
from metering.usage.budget import read_budget, set_budget
from security.api.models import FilledIn
from security.api.operation import Answer, operation
from security.api.request_bodies import Form

AMOUNT = re.compile(r"[0-9]{1,8}(?:\.[0-9]{1,2})?")


def _amount(text: str) -> str:
    if AMOUNT.fullmatch(text) is None or int(Decimal(text) * 100) > LARGEST_BUDGET:
        raise ValueError("Enter an amount such as 20 or 12.50")
    return text


class BudgetForm(FilledIn):
    """Left empty: no budget."""

    amount: Annotated[str, Field(max_length=20), AfterValidator(_amount)] | None = None


def budget_pages(auth: Auth, guards: PageGuards) -> Blueprint:
    pages = SitePages(
        PORTAL, "budget", __name__, done={"set": "The budget is set.", "removed": "The budget is removed."}
    )

    @operation(
        pages, "GET", "", operation_id="budget_form", summary="Budget", guard=guards(), query=PageQuery, answers=SHOWS
    )
    def budget_form(caller: Principal, query: PageQuery) -> Answer:
        return show("portal_budget.html", title="Budget", budget=read_budget(caller.user_id, auth.clock()))

    @operation(
        pages,
        "POST",
        "",
        operation_id="set_budget",
        summary="Set the budget",
        guard=guards(),
        body=Form(BudgetForm),
        answers=SENDS_ON,
    )
    def change(caller: Principal, body: BudgetForm) -> Answer:
        cents = None if body.amount is None else int(Decimal(body.amount) * 100)
        set_budget(caller.user_id, cents, auth.clock())
        return see_other(f"{PORTAL.root}/budget", "removed" if cents is None else "set")

    return pages
