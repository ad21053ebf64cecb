"""`/api/auth/sessions`: where the caller is signed in, and signing out there."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from auth.assembly import Auth
from auth.audit.routes import Instant
from auth.lock_out.sign_out_everywhere import end_all_sessions
from auth.middleware import StepUpRequired
from auth.principal import Principal
from auth.sessions.end import end_session
from auth.sessions.list import OpenSession, list_sessions
from security.api.cursor import Cursor
from security.api.operation import WHOLE, Answer, AnswerBody, Body, operation
from security.edge.problems import NotFound


class SessionsQuery(Body):
    cursor: Cursor | None = None
    """`next_cursor` of the previous page."""
    limit: Annotated[int, Field(ge=1, le=100), WHOLE] = 20


class SessionAnswer(AnswerBody):
    id: UUID
    current: bool
    """Whether this request uses the session."""
    device_name: str | None
    user_agent: str | None
    ip_first: str | None
    ip_last: str | None
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    remember_me: bool


class SessionsAnswer(AnswerBody):
    sessions: list[SessionAnswer]
    next_cursor: Cursor | None


class EndSessionsQuery(Body):
    keep_current: bool
    added_since: Instant | None = None
    """If someone else was in your account: also removes API keys, linked accounts and second factors added since this time.
    Needs a recent sign-in."""


class EndedAnswer(AnswerBody):
    ended: int


def session_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("sessions", __name__, url_prefix="/api/auth/sessions")

    @operation(
        routes,
        "GET",
        "",
        operation_id="listSessions",
        summary="List your sessions",
        guard=auth.signed_in,
        query=SessionsQuery,
        answers={200: SessionsAnswer},
    )
    def list_own(caller: Principal, query: SessionsQuery) -> Answer:
        """Returns the newest first. `last_used_at` and `ip_last` are from the last refresh."""
        page = list_sessions(auth, caller.user_id, before=query.cursor, limit=query.limit)
        shown = [_session_answer(each, caller) for each in page.sessions]
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
        """Its tokens stop working at once. You can also end the current session."""
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
