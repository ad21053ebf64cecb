"""`/api/admin/analytics`: reports for admins, as JSON or CSV."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, request

from admin.analytics.bodies import (
    ActivityReport,
    Report,
    ReportQuery,
    ResponseTimesReport,
    RevenueReport,
    SubscriptionsReport,
    UsageReport,
)
from admin.analytics.read_report import (
    ACTIVITY,
    RESPONSE_TIMES,
    REVENUE,
    SUBSCRIPTIONS,
    USAGE,
    View,
    read_report,
)
from auth.assembly import Auth
from auth.principal import Principal, Role
from security.api.operation import Answer, Guard, operation
from security.api.streams import Csv
from security.edge.problems import ValidationFailed, field_error
from security.logs.log import security_event

USUAL_DAYS = 30
MOST_DAYS = 1100
"""Three years, and a few days more."""


@dataclass(frozen=True)
class Offered:
    """One report at its path. `title` begins its summary's object, `description` ends in a full stop."""

    path: str
    operation_id: str
    summary: str
    description: str
    view: View[Any]
    report: type[Report]


REPORTS = (
    Offered(
        "activity",
        "getActivityReport",
        "Report on new accounts and active users",
        "Accounts that were deleted since then stay counted in finished days.",
        ACTIVITY,
        ActivityReport,
    ),
    Offered(
        "subscriptions",
        "getSubscriptionReport",
        "Report on subscriptions by provider and tier",
        "A subscription counts from when this API first heard of it until it gives no access any more.",
        SUBSCRIPTIONS,
        SubscriptionsReport,
    ),
    Offered(
        "revenue",
        "getRevenueReport",
        "Report on churn and monthly recurring revenue",
        "By provider and currency; currencies are never added up. Prices are those that Stripe and Apple told with each "
        "subscription. One whose price is not known is left out.",
        REVENUE,
        RevenueReport,
    ),
    Offered(
        "usage",
        "getUsageReport",
        "Report on metered calls by feature",
        "How many calls there were of each feature, how many succeeded, and what they cost.",
        USAGE,
        UsageReport,
    ),
    Offered(
        "response-times",
        "getResponseTimeReport",
        "Report on response times by feature",
        "The percentiles of a week or month are those of all its calls, not averages of its days.",
        RESPONSE_TIMES,
        ResponseTimesReport,
    ),
)
HOW_TO_READ = (
    " Finished days are counted once; today is read live. The data may come from a read replica. "
    "Send `Accept: text/csv` for the rows as CSV."
)


def analytics_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("analytics", __name__, url_prefix="/api/admin/analytics")
    admins = replace(auth.signed_in, role=Role.ADMIN)
    for offered in REPORTS:
        declare(routes, offered, admins, auth)
    return routes


def declare(routes: Blueprint, offered: Offered, admins: Guard, auth: Auth) -> None:
    def report(caller: Principal, query: ReportQuery) -> Answer:
        first, last = days_of(query, today=auth.clock().date())
        security_event("report_read", notable=False, actor_id=caller.user_id, report=offered.path)
        rows = read_report(offered.view, first, last, query.interval)
        if request.accept_mimetypes.best_match(("application/json", "text/csv")) == "text/csv":
            name = f"{offered.path}-{first}-{last}-{query.interval}.csv"
            return Answer(200, rows, {"Content-Disposition": f'attachment; filename="{name}"'})
        given: dict[str, Any] = {"from_": first, "to": last, "interval": query.interval, "rows": rows}
        return Answer(200, offered.report(**given))

    report.__doc__ = offered.description + HOW_TO_READ
    operation(
        routes,
        "GET",
        f"/{offered.path}",
        operation_id=offered.operation_id,
        summary=offered.summary,
        guard=admins,
        query=ReportQuery,
        answers={200: (offered.report, Csv(offered.view.row))},
    )(report)


def days_of(query: ReportQuery, today: date) -> tuple[date, date]:
    """The first and the last day. Raises ValidationFailed."""
    last = query.to or today
    try:
        first = query.from_ or last - timedelta(days=USUAL_DAYS - 1)
    except OverflowError:
        first = date.min
    if first > last:
        raise ValidationFailed([field_error(["from"], "after_to", "Enter a day that is not after `to`")])
    if (last - first).days >= MOST_DAYS:
        raise ValidationFailed([field_error(["from"], "too_long", f"Ask for at most {MOST_DAYS} days")])
    return first, last
