"""`/api/auth/invites`: the codes that let people register where `REGISTRATION_MODE` is `invite`."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from flask import Blueprint

from auth.assembly import Auth
from auth.invites.bodies import CreateInviteBody, InvitesAnswer, NewInviteAnswer
from auth.invites.create import create_invite
from auth.invites.list import list_invites
from auth.invites.revoke import revoke_invite
from auth.principal import Principal, Role
from security.api.cursor import ListQuery
from security.api.operation import Answer, operation


def invite_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("invites", __name__, url_prefix="/api/auth/invites")
    admin = replace(auth.signed_in, role=Role.ADMIN)

    @operation(
        routes,
        "POST",
        "",
        operation_id="createInvite",
        summary="Create an invite code",
        guard=admin,
        body=CreateInviteBody,
        answers={201: NewInviteAnswer},
    )
    def create(caller: Principal, body: CreateInviteBody) -> Answer:
        """Returns the code. Store it now: we do not show it again. Only admins can do this."""
        made = create_invite(
            auth,
            uses=body.max_uses,
            lifetime=timedelta(days=body.expires_in_days),
            note=body.note,
            by=str(caller.user_id),
            actor_id=caller.user_id,
        )
        return Answer(201, made)

    @operation(
        routes,
        "GET",
        "",
        operation_id="listInvites",
        summary="List the invite codes",
        guard=admin,
        query=ListQuery,
        answers={200: InvitesAnswer},
    )
    def show(caller: Principal, query: ListQuery) -> Answer:
        """Returns the newest first, without the codes themselves. Only admins can do this."""
        page = list_invites(auth.clock(), query)
        return Answer(200, InvitesAnswer(invites=list(page.items), next_cursor=page.next_cursor))

    @operation(
        routes,
        "DELETE",
        "/<uuid:invite_id>",
        operation_id="revokeInvite",
        summary="Revoke an invite code",
        guard=admin,
    )
    def revoke(caller: Principal, invite_id: UUID) -> None:
        """Accounts that were created with it stay. You can repeat the request. Only admins can do this."""
        revoke_invite(auth, invite_id, actor_id=caller.user_id)

    return routes
