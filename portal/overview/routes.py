"""`/portal`: what the account has, and what it used this month."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from auth.api_keys.list import list_api_keys
from auth.assembly import Auth
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SHOWS, PageQuery, SitePages, show
from auth.principal import Principal
from auth.tiers import Tier
from metering.capability import FeatureLimits
from metering.usage.budget import read_budget
from metering.usage.read import Counted, read_month
from security.api.cursor import ListQuery
from security.api.days import Month
from security.api.operation import Answer, operation

Plans = Mapping[Tier, Mapping[str, FeatureLimits]]
CHART_HEIGHT = 100


class OverviewQuery(PageQuery):
    month: Month | None = None


@dataclass(frozen=True)
class Bar:
    """A day. `ok` and `failed` are heights, of CHART_HEIGHT for the busiest day of the month."""

    day: date
    ok: float
    failed: float
    words: str


def overview_pages(routes: SitePages, guards: PageGuards, plans: Plans, auth: Auth) -> None:
    """`routes` are those of `/portal` itself."""

    @operation(
        routes,
        "GET",
        "",
        operation_id="overview",
        summary="Overview",
        guard=guards(),
        query=OverviewQuery,
        answers=SHOWS,
    )
    def overview(caller: Principal, query: OverviewQuery) -> Answer:
        now = auth.clock()
        this_month = now.date().replace(day=1)
        first = query.month or this_month
        month = read_month(caller.user_id, first)
        keys = list_api_keys(caller.user_id, auth.scopes, now, ListQuery(limit=200)).items
        return show(
            "portal_overview.html",
            title="Overview",
            tier=caller.tier,
            month=month,
            first=first,
            month_before=(first - timedelta(days=1)).replace(day=1),
            month_after=_after(first) if first < this_month else None,
            bars=bars_of(first, month.by_day),
            limits={feature: limits.published() for feature, limits in plans[caller.tier].items()},
            budget=read_budget(caller.user_id, now),
            key_names={key.id: key.name for key in keys},
        )


def bars_of(first: date, by_day: Sequence[Counted]) -> list[Bar]:
    """One for each day of the month. None at all when nothing was used in it."""
    counted = {each.named: each for each in by_day}
    most = max((each.total for each in by_day), default=0)
    if not most:
        return []
    bars = []
    for number in range((_after(first) - first).days):
        day = first + timedelta(days=number)
        there = counted.get(day)
        total, ok = (there.total, there.ok) if there is not None else (0, 0)
        failed = total - ok
        words = f"{day:%-d %B}: {total:,} request{'' if total == 1 else 's'}" + (
            f", {failed:,} failed" if failed else ""
        )
        bars.append(Bar(day, CHART_HEIGHT * ok / most, CHART_HEIGHT * failed / most, words))
    return bars


def _after(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)
