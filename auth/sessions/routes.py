"""`/api/auth/sessions`: where the caller is signed in, and signing out there."""

from uuid import UUID

from flask import Blueprint

from auth.assembly import Auth
from auth.lock_out.sign_out_everywhere import end_all_sessions
from auth.middleware import StepUpRequired
from auth.principal import Principal
from auth.sessions.bodies import EndedAnswer, EndSessionsQuery, SessionsAnswer
from auth.sessions.end import end_session
from auth.sessions.list import list_sessions
from security.api.cursor import ListQuery
from security.api.operation import Answer, operation
from security.edge.problems import NotFound


def session_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("sessions", __name__, url_prefix="/api/auth/sessions")

    @operation(
        routes,
        "GET",
        "",
        operation_id="listSessions",
        summary="List your sessions",
        guard=auth.signed_in,
        query=ListQuery,
        answers={200: SessionsAnswer},
    )
    def list_own(caller: Principal, query: ListQuery) -> Answer:
        """Returns the newest first. `last_used_at` and `ip_last` are from the last refresh."""
        page = list_sessions(caller, auth.clock(), query)
        return Answer(200, SessionsAnswer(sessions=list(page.items), next_cursor=page.next_cursor))

    @operation(
        routes,
        "DELETE",
        "/<uuid:session_id>",
        operation_id="endSession",
        summary="Sign out one device",
        guard=auth.signed_in,
    )
    def end_one(caller: Principal, session_id: UUID) -> None:
        """Its tokens stop working at once. You can also end the current session."""
        if not end_session(auth, user_id=caller.user_id, session_id=session_id, reason="revoked"):
            raise NotFound

    @operation(
        routes,
        "DELETE",
        "",
        operation_id="endSessions",
        summary="Sign out everywhere, or everywhere else",
        guard=auth.signed_in,
        query=EndSessionsQuery,
        answers={200: EndedAnswer},
        problems=(StepUpRequired,),
    )
    def end_all(caller: Principal, query: EndSessionsQuery) -> Answer:
        """Also cancels password resets, e-mail address changes requested in other sessions, and sign-ins that are waiting for a
        second factor. With `added_since` it also removes API keys, linked Apple and Google accounts, second factors and passkeys
        added since then.
        """
        if query.added_since is not None:
            auth.recently_signed_in.admit()
        keep = caller.session_id if query.keep_current else None
        ended = end_all_sessions(auth, caller.user_id, keep=keep, added_since=query.added_since)
        return Answer(200, EndedAnswer(ended=ended))

    return routes
