"""`/api/auth/identities`: the accounts at Apple and Google that sign in to one's own."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from flask import Blueprint

from auth.assembly import Auth
from auth.identity_providers.list import LinkedIdentity, list_identities
from auth.identity_providers.unlink import unlink_identity
from auth.principal import Principal
from auth.second_factor.ways_to_sign_in import LastWayToSignIn
from security.api.cursor import ListAnswer, ListQuery
from security.api.operation import Answer, AnswerBody, operation


class IdentityAnswer(AnswerBody):
    id: UUID
    provider: Literal["apple", "google"]
    linked_at: datetime


class IdentitiesAnswer(ListAnswer):
    identities: list[IdentityAnswer]


def identity_routes(auth: Auth) -> Blueprint:
    """Linking stands with the provider that it needs (routes.py)."""
    routes = Blueprint("identities", __name__, url_prefix="/api/auth/identities")

    @operation(
        routes,
        "GET",
        "",
        operation_id="listIdentities",
        summary="List the linked Apple and Google accounts",
        guard=auth.signed_in,
        query=ListQuery,
        answers={200: IdentitiesAnswer},
    )
    def list_own(caller: Principal, query: ListQuery) -> Answer:
        """Those that can sign in to your account, the newest first."""
        page = list_identities(caller.user_id, cursor=query.cursor, limit=query.limit)
        found = [identity_answer(each) for each in page.items]
        return Answer(200, IdentitiesAnswer(identities=found, next_cursor=page.next_cursor))

    @operation(
        routes,
        "DELETE",
        "/<uuid:identity_id>",
        operation_id="unlinkIdentity",
        summary="Unlink an Apple or Google account",
        guard=auth.recently_signed_in,
        answers={204: None},
        problems=(LastWayToSignIn,),
    )
    def unlink(caller: Principal, identity_id: UUID) -> Answer:
        """It can no longer sign in, and all other sessions end. The only way to sign in cannot be removed: 409
        `last_way_to_sign_in`.
        """
        unlink_identity(auth, caller, identity_id)
        return Answer(204)

    return routes


def identity_answer(identity: LinkedIdentity) -> IdentityAnswer:
    return IdentityAnswer.model_validate(vars(identity))
