"""`/api/auth/admin/impersonate`: a member of the staff views the service as one user."""

from dataclasses import replace
from typing import Annotated, Literal
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from auth.assembly import Auth
from auth.impersonation.impersonate import NotToBeImpersonated, impersonate, stop_impersonating
from auth.principal import Principal, Role
from security.api.models import AnswerBody, Body
from security.api.operation import Answer, operation
from security.api.typed_text import NOT_BLANK, SEEN
from security.edge.problems import NotFound


class ImpersonateBody(Body):
    user_id: UUID
    reason: Annotated[
        str,
        Field(
            min_length=10,
            max_length=500,
            json_schema_extra={"pattern": SEEN},
            examples=["Ticket 4711: asks why predictions end at 5"],
        ),
        NOT_BLANK,
    ]
    """Why you need to see the account. The user can read this."""


class ImpersonationAnswer(AnswerBody):
    impersonation_id: UUID
    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int
    """Seconds until the token expires. There is no refresh token."""


def impersonation_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("impersonation", __name__, url_prefix="/api/auth/admin")

    @operation(
        routes,
        "POST",
        "/impersonate",
        operation_id="startImpersonation",
        summary="View the service as another user",
        guard=replace(auth.recently_signed_in, role=Role.SUPPORT),
        body=ImpersonateBody,
        answers={201: ImpersonationAnswer},
        problems=(NotFound, NotToBeImpersonated),
    )
    def begin_impersonation(caller: Principal, body: ImpersonateBody) -> Answer:
        """For support and admins. The token is read-only, expires after 15 minutes at most, and ends with your session.

        You can only view accounts with a lower role than yours. Starting another impersonation ends the previous one. The user
        sees it in their security events.
        """
        started, token = impersonate(auth, caller, body.user_id, body.reason)
        answer = ImpersonationAnswer(impersonation_id=started, access_token=token.text, expires_in=token.expires_in)
        return Answer(201, answer)

    @operation(
        routes,
        "DELETE",
        "/impersonate",
        operation_id="endImpersonation",
        summary="Stop viewing the service as another user",
        guard=replace(auth.signed_in, role=Role.SUPPORT),
    )
    def end_impersonation(caller: Principal) -> None:
        """Call it with your own access token. You can repeat it."""
        stop_impersonating(auth, caller.user_id)

    return routes
