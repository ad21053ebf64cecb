"""`/admin/invites`: invite codes, making them and taking them back."""

from datetime import timedelta
from typing import Annotated, Final
from uuid import UUID

from pydantic import Field

from admin.reason import ReasonForm
from auth.assembly import Auth
from auth.invites.bodies import LONGEST_NOTE, MOST_DAYS, MOST_USES, Note
from auth.invites.create import create_invite
from auth.invites.list import list_invites
from auth.invites.revoke import revoke_invite
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SHOWS, PageQuery, SitePages, Subject, act_with_form, see_other, show
from auth.page_sessions.site import ADMIN
from auth.principal import Principal, Role
from security.api.cursor import ListQuery
from security.api.models import FilledIn
from security.api.operation import Answer, operation
from security.api.request_bodies import Form
from security.edge.problems import NotFound

NAME: Final = "invites"
PATH: Final = f"{ADMIN.root}/{NAME}"


class InvitesQuery(PageQuery, ListQuery):
    pass


class InviteForm(FilledIn):
    max_uses: Annotated[int, Field(ge=1, le=MOST_USES)]
    expires_in_days: Annotated[int, Field(ge=1, le=MOST_DAYS)]
    note: Note


def invite_pages(auth: Auth) -> Subject:
    return Subject(NAME, "Invites", lambda guards: invite_page_routes(guards, auth), role=Role.ADMIN)


def invite_page_routes(guards: PageGuards, auth: Auth) -> SitePages:
    pages = SitePages(ADMIN, NAME, __name__, done={"revoked": "The invite is revoked. Accounts created with it stay."})

    @operation(
        pages,
        "GET",
        "",
        operation_id="listInvitesPage",
        summary="List the invite codes",
        guard=guards(Role.ADMIN),
        query=InvitesQuery,
        answers=SHOWS,
    )
    def invites(caller: Principal, query: InvitesQuery) -> Answer:
        listed = list_invites(auth.clock(), ListQuery(cursor=query.cursor, limit=query.limit))
        needed = auth.settings.registration_mode == "invite"
        return show("invites_list.html", title="Invites", listed=listed, needed=needed)

    def invite_form(caller: Principal) -> Answer:
        return show(
            "invites_new.html",
            title="Create an invite",
            most_uses=MOST_USES,
            most_days=MOST_DAYS,
            longest_note=LONGEST_NOTE,
        )

    def make(caller: Principal, body: InviteForm) -> Answer:
        made = create_invite(
            auth,
            uses=body.max_uses,
            lifetime=timedelta(days=body.expires_in_days),
            note=body.note,
            by=str(caller.user_id),
            actor_id=caller.user_id,
        )
        return show("invites_made.html", title="Your invite code", made=made)

    act_with_form(
        pages,
        "/new",
        operation_ids=("showInviteForm", "createInvitePage"),
        summary="Create an invite code",
        guard=guards(Role.ADMIN, fresh=True),
        form=invite_form,
        act=make,
        body=Form(InviteForm),
        answers=SHOWS,
    )

    def confirm(caller: Principal, invite_id: UUID) -> Answer:
        return show("invites_revoke.html", title="Revoke an invite", invite_id=invite_id)

    def revoke(caller: Principal, invite_id: UUID, body: ReasonForm) -> Answer:
        revoke_invite(auth, invite_id, actor_id=caller.user_id, reason=body.reason)
        return see_other(PATH, "revoked")

    act_with_form(
        pages,
        "/<uuid:invite_id>/revoke",
        operation_ids=("confirmInviteRevocation", "revokeInvitePage"),
        summary="Revoke an invite code",
        guard=guards(Role.ADMIN, fresh=True),
        form=confirm,
        act=revoke,
        body=Form(ReasonForm),
        problems=(NotFound,),
    )
    return pages
