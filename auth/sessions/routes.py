"""`/api/auth/sessions`: where the caller is signed in, and ending that."""

from datetime import datetime
from uuid import UUID

from flask import Blueprint

from auth.assembly import Auth
from auth.audit.routes import Instant
from auth.lock_out.sign_out_everywhere import end_all_sessions
from auth.middleware import StaleSignIn
from auth.principal import Principal
from auth.sessions.end import end_session
from auth.sessions.list import OpenSession, list_sessions
from security.api.cursor import ListAnswer, ListQuery
from security.api.operation import Answer, AnswerBody, Body, operation
from security.edge.problems import NotFound


class SessionAnswer(AnswerBody):
    id: UUID
    current: bool
    """Whether this very request belongs to it."""
    device_name: str | None
    user_agent: str | None
    ip_first: str | None
    ip_last: str | None
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    remember_me: bool


class SessionsAnswer(ListAnswer):
    sessions: list[SessionAnswer]


class EndSessionsQuery(Body):
    keep_current: bool
    added_since: Instant | None = None
    """Somebody else was in the account: also remove what was added since this instant and lets somebody in. Needs a fresh
    sign-in."""


class EndedAnswer(AnswerBody):
    ended: int


def session_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("sessions", __name__, url_prefix="/api/auth/sessions")

    @operation(
        routes,
        "GET",
        "",
        operation_id="listSessions",
        summary="List where you are signed in",
        guard=auth.signed_in,
        query=ListQuery,
        answers={200: SessionsAnswer},
    )
    def list_own(caller: Principal, query: ListQuery) -> Answer:
        """The newest first. `last_used_at` and `ip_last` are those of the last refresh."""
        page = list_sessions(auth, caller.user_id, cursor=query.cursor, limit=query.limit)
        shown = [_session_answer(each, caller) for each in page.items]
        return Answer(200, SessionsAnswer(sessions=shown, next_cursor=page.next_cursor))

    @operation(
        routes,
        "DELETE",
        "/<uuid:session_id>",
        operation_id="endSession",
        summary="Sign out one device",
        guard=auth.signed_in,
        answers={204: None},
    )
    def end_one(caller: Principal, session_id: UUID) -> Answer:
        """Its tokens stop working at once. It may be the device that asks."""
        if not end_session(auth, user_id=caller.user_id, session_id=session_id, reason="revoked"):
            raise NotFound
        return Answer(204)

    @operation(
        routes,
        "DELETE",
        "",
        operation_id="endSessions",
        summary="Sign out everywhere, or everywhere else",
        guard=auth.signed_in,
        query=EndSessionsQuery,
        answers={200: EndedAnswer},
        problems=(StaleSignIn,),
    )
    def end_all(caller: Principal, query: EndSessionsQuery) -> Answer:
        """Also voids password-reset codes, changes of address that other sessions asked for, and sign-ins that wait for a second
        factor. With `added_since`, API keys, linked Apple and Google accounts, second factors and passkeys that were added since
        then are removed too.
        """
        if query.added_since is not None:
            auth.recently_signed_in.admit()
        keep = caller.session_id if query.keep_current else None
        ended = end_all_sessions(auth, caller.user_id, keep=keep, added_since=query.added_since)
        return Answer(200, EndedAnswer(ended=ended))

    return routes


def _session_answer(found: OpenSession, caller: Principal) -> SessionAnswer:
    return SessionAnswer(
        id=found.id,
        current=found.id == caller.session_id,
        device_name=found.device_name,
        user_agent=found.user_agent,
        ip_first=found.ip_first,
        ip_last=found.ip_last,
        created_at=found.created_at,
        last_used_at=found.last_used_at,
        expires_at=found.expires_at,
        remember_me=found.remember,
    )
