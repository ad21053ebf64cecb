"""`/admin/audit`: who did what to which account, from where."""

from typing import Final

from admin.accounts.find import account_named, addresses_of
from admin.audit_log.bodies import AuditQuery
from admin.list_filter import whose
from auth.audit.bodies import AnyEvent
from auth.audit.read import read_events
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SHOWS, SitePages, Subject, show
from auth.page_sessions.site import ADMIN
from auth.principal import Principal
from database.pages import Page
from security.api.operation import Answer, operation
from security.logs.log import security_event

NAME: Final = "audit"


def audit_log_pages() -> Subject:
    return Subject(NAME, "Audit log", audit_log_routes)


def audit_log_routes(guards: PageGuards) -> SitePages:
    pages = SitePages(ADMIN, NAME, __name__)

    @operation(
        pages,
        "GET",
        "",
        operation_id="listEvents",
        summary="List security events",
        guard=guards(),
        query=AuditQuery,
        answers=SHOWS,
    )
    def events(caller: Principal, query: AuditQuery) -> Answer:
        account = whose(caller, query.account)
        actor_id = None if query.actor is None else account_named(query.actor)
        hint = account.hint
        if hint is None and query.actor is not None and actor_id is None:
            hint = "No member of staff has this e-mail address."
        listed: Page[AnyEvent] | None = None
        if hint is None:
            security_event("security_events_read", actor_id=caller.user_id, subject_id=account.user_id)
            listed = read_events(query, account.user_id, actor_id)
        people = (
            set() if listed is None else {each.user_id for each in listed.items} | {e.actor_id for e in listed.items}
        )
        return show(
            "audit_list.html",
            title="Audit log",
            query=query,
            hint=hint,
            listed=listed,
            addresses=addresses_of({each for each in people if each is not None}),
        )

    return pages
