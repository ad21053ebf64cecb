"""`/api/auth/admin/impersonate`: the staff looks through a user's eyes."""

from typing import Annotated, Literal
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from auth.assembly import Auth
from auth.impersonation.impersonate import NotToBeImpersonated, impersonate, stop_impersonating
from auth.middleware import HasRole
from auth.principal import Principal
from auth.roles import Role
from security.api.operation import Answer, AnswerBody, Body, operation
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
    """The user reads it."""


class ImpersonationAnswer(AnswerBody):
    impersonation_id: UUID
    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int
    """Seconds. There is no refresh token."""


def impersonation_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("impersonation", __name__, url_prefix="/api/auth/admin")

    @operation(
        routes,
        "POST",
        "/impersonate",
        operation_id="startImpersonation",
        summary="See the service as one user does",
        guard=HasRole(auth.recently_signed_in, Role.SUPPORT),
        body=ImpersonateBody,
        answers={201: ImpersonationAnswer},
        problems=(NotFound, NotToBeImpersonated),
    )
    def begin_impersonation(caller: Principal, body: ImpersonateBody) -> Answer:
        """For support and admins. The token can only read. It lasts 15 minutes at most, and ends with your own session.

        Only accounts of a lower role can be looked at. Starting again ends the one before. The user sees it among the
        security events.
        """
        begun = impersonate(auth, caller, body.user_id, body.reason)
        return Answer(
            201,
            ImpersonationAnswer(
                impersonation_id=begun.id, access_token=begun.token.text, expires_in=begun.token.expires_in
            ),
        )

    @operation(
        routes,
        "DELETE",
        "/impersonate",
        operation_id="endImpersonation",
        summary="Stop seeing the service as another user",
        guard=HasRole(auth.signed_in, Role.SUPPORT),
        answers={204: None},
    )
    def end_impersonation(caller: Principal) -> Answer:
        """Call it with your own token. Can be repeated."""
        stop_impersonating(auth, caller.user_id)
        return Answer(204)

    return routes
