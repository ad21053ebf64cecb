"""`/admin/webhooks`: what Stripe and Apple told us, what became of it, and applying it again."""

from typing import Annotated
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from auth.audit.record import record
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SHOWS, PageQuery, SitePages, act_with_form, see_other, show
from auth.page_sessions.site import ADMIN
from auth.principal import Principal, Role
from database import transaction
from payments.inbox.inbox import EventInbox, EventState
from payments.inbox.list_events import Wanted, list_events, read_event
from payments.subscriptions.status import Provider
from security.api.cursor import Cursor
from security.api.operation import Answer, operation
from security.edge.problems import NotFound

SHOWN = 50
GONE = "This event is not here. Events that were dealt with are deleted after 180 days"
Typed = Annotated[str, Field(max_length=200)]


class EventsQuery(PageQuery):
    provider: Provider | None = None
    kind: Typed | None = None
    state: EventState | None = None
    external_id: Typed | None = None
    cursor: Cursor | None = None


def webhook_pages(inbox: EventInbox, guards: PageGuards) -> Blueprint:
    pages = SitePages(
        ADMIN,
        "webhooks",
        __name__,
        done={"replayed": "The event is queued again. A worker will apply it, usually within seconds."},
    )

    @operation(
        pages,
        "GET",
        "",
        operation_id="webhooks",
        summary="Webhooks",
        guard=guards(),
        query=EventsQuery,
        answers=SHOWS,
    )
    def events(caller: Principal, query: EventsQuery) -> Answer:
        wanted = Wanted(query.provider, query.kind, query.state, query.external_id)
        page = list_events(wanted, cursor=query.cursor, limit=SHOWN)
        return show("webhooks_list.html", title="Webhooks", page=page)

    @operation(
        pages,
        "GET",
        "/<uuid:event_id>",
        operation_id="webhook",
        summary="Webhook event",
        guard=guards(),
        query=PageQuery,
        answers=SHOWS,
        problems=(NotFound,),
    )
    def event(caller: Principal, event_id: UUID, query: PageQuery) -> Answer:
        return shown("webhooks_event.html", event_id, may_act=caller.role.includes(Role.ADMIN))

    def replay_form(caller: Principal, event_id: UUID) -> Answer:
        return shown("webhooks_replay.html", event_id)

    def replay(caller: Principal, event_id: UUID) -> Answer:
        with transaction() as session:
            if not inbox.start_anew(session, event_id):
                raise NotFound(GONE)
            by = {"actor_id": caller.user_id, "session_id": caller.session_id}
            record(session, "billing_event_replayed", inbox.clock(), user_id=None, **by, event_id=str(event_id))
        return see_other(f"/admin/webhooks/{event_id}", "replayed")

    act_with_form(
        pages,
        "/<uuid:event_id>/replay",
        operation_ids=("replay_webhook_form", "replay_webhook"),
        summary="Replay an event",
        guard=guards(Role.ADMIN, fresh=True),
        form=replay_form,
        act=replay,
        problems=(NotFound,),
    )
    return pages


def shown(template: str, event_id: UUID, **values: object) -> Answer:
    """Raises NotFound."""
    found = read_event(event_id)
    if found is None:
        raise NotFound(GONE)
    event, about = found
    title = event.kind if template == "webhooks_event.html" else f"Replay {event.kind}"
    return show(template, title=title, event=event, about=about, **values)
