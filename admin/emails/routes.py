"""`/admin/emails`: e-mails that failed for good, and sending them again."""

from uuid import UUID

from flask import Blueprint

from auth.assembly import Auth
from auth.mail.send_again import count_dead_emails, drop, list_dead_emails, read_dead_email, send_again, send_all_again
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SENDS_ON, SHOWS, PageQuery, SitePages, act_with_form, see_other, show
from auth.page_sessions.site import ADMIN
from auth.principal import Principal, Role
from security.api.cursor import Cursor
from security.api.operation import Answer, operation
from security.edge.problems import NotFound

LIST = "/admin/emails"
SHOWN = 50
GONE = "This e-mail is not here any more. It was sent again, dropped, or its account was deleted"


class EmailsQuery(PageQuery):
    cursor: Cursor | None = None


def email_pages(auth: Auth, guards: PageGuards) -> Blueprint:
    pages = SitePages(
        ADMIN,
        "emails",
        __name__,
        done={
            "queued": "The e-mail is queued again. A worker will send it.",
            "all_queued": "All dead e-mails are queued again. The workers will send them.",
            "dropped": "The e-mail is deleted.",
        },
    )

    @operation(
        pages, "GET", "", operation_id="emails", summary="E-mails", guard=guards(), query=EmailsQuery, answers=SHOWS
    )
    def emails(caller: Principal, query: EmailsQuery) -> Answer:
        page = list_dead_emails(auth.clock(), cursor=query.cursor, limit=SHOWN)
        return show("emails_list.html", title="E-mails", page=page, may_act=caller.role.includes(Role.ADMIN))

    @operation(
        pages,
        "POST",
        "/<uuid:email_id>/send-again",
        operation_id="send_email_again",
        summary="Send an e-mail again",
        guard=guards(Role.ADMIN),
        answers=SENDS_ON,
        problems=(NotFound,),
    )
    def again(caller: Principal, email_id: UUID) -> Answer:
        if not send_again(email_id, auth.clock(), **by(caller)):
            raise NotFound(GONE)
        return see_other(LIST, "queued")

    def all_again_form(caller: Principal) -> Answer:
        return show("emails_send_all_again.html", title="Send all e-mails again", count=count_dead_emails())

    def all_again(caller: Principal) -> Answer:
        send_all_again(auth.clock(), **by(caller))
        return see_other(LIST, "all_queued")

    act_with_form(
        pages,
        "/send-all-again",
        operation_ids=("send_all_emails_again_form", "send_all_emails_again"),
        summary="Send all e-mails again",
        guard=guards(Role.ADMIN, fresh=True),
        form=all_again_form,
        act=all_again,
    )

    def drop_form(caller: Principal, email_id: UUID) -> Answer:
        email = read_dead_email(email_id, auth.clock())
        if email is None:
            raise NotFound(GONE)
        return show("emails_drop.html", title="Drop an e-mail", email=email)

    def drop_one(caller: Principal, email_id: UUID) -> Answer:
        if not drop(email_id, auth.clock(), **by(caller)):
            raise NotFound(GONE)
        return see_other(LIST, "dropped")

    act_with_form(
        pages,
        "/<uuid:email_id>/drop",
        operation_ids=("drop_email_form", "drop_email"),
        summary="Drop an e-mail",
        guard=guards(Role.ADMIN, fresh=True),
        form=drop_form,
        act=drop_one,
        problems=(NotFound,),
    )
    return pages


def by(caller: Principal) -> dict[str, UUID]:
    """For the audit log."""
    return {"actor_id": caller.user_id, "session_id": caller.session_id}
