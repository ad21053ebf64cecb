"""`/admin/ledger`: what was counted and charged, and what calls in flight have set aside."""

from collections.abc import Sequence
from typing import Final

from admin.ledger.bodies import LedgerQuery
from admin.ledger.read import LedgerFilter, list_charges, list_counters, list_reservations, sum_charges, sum_window
from admin.list_filter import whose
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SHOWS, SitePages, Subject, show
from auth.page_sessions.site import ADMIN
from auth.principal import Principal
from database.base import Clock
from metering.windows import day_of
from security.api.operation import Answer, operation
from security.logs.log import security_event

NAME: Final = "ledger"


def ledger_pages(features: Sequence[str], clock: Clock) -> Subject:
    """`features`: those that can be chosen."""
    return Subject(NAME, "Ledger", lambda guards: ledger_routes(guards, features, clock))


def ledger_routes(guards: PageGuards, features: Sequence[str], clock: Clock) -> SitePages:
    pages = SitePages(ADMIN, NAME, __name__)

    @operation(
        pages,
        "GET",
        "",
        operation_id="listLedger",
        summary="See usage counters, reservations and charges",
        guard=guards(),
        query=LedgerQuery,
        answers=SHOWS,
    )
    def ledger(caller: Principal, query: LedgerQuery) -> Answer:
        account = whose(caller, query.account)
        shown: dict[str, object] = {}
        window = query.window
        if account.hint is None:
            security_event("ledger_read", actor_id=caller.user_id, subject_id=account.user_id)
            if window is None and account.user_id is None:
                window = day_of(clock()).name  # of all accounts a window at a time
            wanted = LedgerFilter(account.user_id, query.feature, window)
            shown = {
                "counters": list_counters(wanted),
                "sums": sum_window(window, query.feature) if account.user_id is None and window is not None else [],
                "reservations": list_reservations(wanted),
                "charges": list_charges(wanted, query.cursor, query.limit),
                "charged": [] if account.user_id is None else sum_charges(account.user_id, clock()),
            }
        return show(
            "ledger.html",
            title="Ledger",
            query=query,
            hint=account.hint,
            window=window,
            features=features,
            **shown,
        )

    return pages
