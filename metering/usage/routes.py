"""`/api/gateway/usage`: what the caller used of all features, what it cost, and the most that it may cost."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from uuid import UUID

from flask import Blueprint

from auth.assembly import Auth
from auth.principal import Caller, Principal
from auth.scopes import USAGE
from auth.tiers import Tier
from metering.capability import FeatureLimits
from metering.usage.bodies import (
    BudgetAnswer,
    BudgetBody,
    CallRow,
    CallsAnswer,
    CallsFilter,
    CallsQuery,
    DayPart,
    FeaturePart,
    KeyPart,
    Requests,
    SummaryAnswer,
    SummaryQuery,
)
from metering.usage.budget import read_budget, set_budget
from metering.usage.read import Counted, all_calls, list_calls, read_month
from metering.usage.show import call_row
from security.api.operation import Answer, operation
from security.api.streams import Csv
from security.edge.problems import NotFound

Plans = Mapping[Tier, Mapping[str, FeatureLimits]]


def usage_routes(auth: Auth, plans: Plans) -> Blueprint:
    """`plans`: what each tier may use of each feature."""
    routes = Blueprint("usage", __name__, url_prefix="/api/gateway/usage")
    reader = auth.signed_in_or_key(USAGE)

    @operation(
        routes,
        "GET",
        "/requests",
        operation_id="listRequests",
        summary="List your requests",
        guard=reader,
        query=CallsQuery,
        answers={200: CallsAnswer},
        problems=(NotFound,),
    )
    def requests(caller: Caller, query: CallsQuery) -> Answer:
        """Returns metered requests of all features, the newest first. We keep them for a limited time, by default 90 days, and
        without what you sent.

        Of requests that a limit refused, only the first in a minute is listed.
        """
        calls, next_cursor = list_calls(caller.user_id, query, query.cursor, query.limit)
        return Answer(200, CallsAnswer(requests=[call_row(call) for call in calls], next_cursor=next_cursor))

    @operation(
        routes,
        "GET",
        "/requests.csv",
        operation_id="downloadRequests",
        summary="Download your requests as CSV",
        guard=reader,
        query=CallsFilter,
        answers={200: Csv(CallRow)},
        problems=(NotFound,),
    )
    def requests_csv(caller: Caller, query: CallsFilter) -> Answer:
        """Returns all of them, with the same filters as the list."""
        rows: Iterator[CallRow] = map(call_row, all_calls(caller.user_id, query))
        return Answer(200, rows, {"Content-Disposition": 'attachment; filename="requests.csv"'})

    @operation(
        routes,
        "GET",
        "/summary",
        operation_id="getUsageSummary",
        summary="Get a month's usage",
        guard=reader,
        query=SummaryQuery,
        answers={200: SummaryAnswer},
    )
    def summary(caller: Caller, query: SummaryQuery) -> Answer:
        """Adds up a UTC month by feature, by day and by API key.

        It is made from the requests, which we keep for a limited time: of earlier months there is nothing or only a part.
        """
        now = auth.clock()
        first = query.month or now.date().replace(day=1)
        month = read_month(caller.user_id, first)
        whole = _counted(month.whole)
        cost = whole.pop("cost_cents")
        return Answer(
            200,
            SummaryAnswer(
                period=f"{first:%Y-%m}",
                requests=Requests(**whole),
                cost_cents=cost,
                by_feature=[FeaturePart(feature=each.named, **_counted(each)) for each in month.by_feature],
                by_day=[DayPart(day=each.named, **_counted(each)) for each in month.by_day],
                by_key=[KeyPart(key_id=each.named, **_counted(each)) for each in month.by_key],
                limits={feature: dict(limits.published()) for feature, limits in plans[caller.tier].items()},
                budget=_budget(caller.user_id, now),
            ),
        )

    @operation(
        routes,
        "GET",
        "/budget",
        operation_id="getBudget",
        summary="Get your budget",
        guard=auth.signed_in,
        answers={200: BudgetAnswer},
    )
    def budget(caller: Principal) -> Answer:
        """Shows the most that may be charged in a UTC month, and what was charged this month."""
        return Answer(200, _budget(caller.user_id, auth.clock()))

    @operation(
        routes,
        "PUT",
        "/budget",
        operation_id="changeBudget",
        summary="Change your budget",
        guard=auth.signed_in,
        body=BudgetBody,
        answers={200: BudgetAnswer},
    )
    def change_budget(caller: Principal, body: BudgetBody) -> Answer:
        """A request that would exceed the budget is refused with 402 `budget_reached` and costs nothing.

        The budget covers every feature that is charged. A budget below what was charged this month refuses everything that
        costs until the month ends. We send an e-mail when 80 % and when 100 % of it are used.
        """
        now = auth.clock()
        set_budget(caller.user_id, body.monthly_cents, now)
        return Answer(200, _budget(caller.user_id, now))

    return routes


def _counted(counted: Counted) -> dict[str, int]:
    return {
        "total": counted.total,
        "ok": counted.ok,
        "failed": counted.total - counted.ok,
        "free": counted.free,
        "cost_cents": counted.micros,
    }


def _budget(user_id: UUID, now: datetime) -> BudgetAnswer:
    found = read_budget(user_id, now)
    return BudgetAnswer(monthly_cents=found.monthly_cents, used_cents=found.used_micros, resets_at=found.resets_at)
