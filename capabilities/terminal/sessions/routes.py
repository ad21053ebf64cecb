"""`/api/terminal/sessions`: the terminal sessions of a user. What happens in them passes over a socket."""

from uuid import UUID

from flask import Blueprint

from auth.assembly import Auth
from auth.principal import Principal
from capabilities.terminal.models import CloseReason
from capabilities.terminal.sessions.bodies import NewSessionBody, TerminalSessionAnswer, TerminalSessionsAnswer
from capabilities.terminal.sessions.end_session import end_session
from capabilities.terminal.sessions.list_sessions import list_sessions, show_session
from capabilities.terminal.sessions.open_session import open_session
from capabilities.terminal.sessions.problems import LocalTerminalOff, TooManySessions
from security.api.cursor import ListQuery
from security.api.operation import Answer, Guard, operation
from security.edge.problems import NotFound


def session_routes(auth: Auth, guard: Guard, ws_url: str) -> Blueprint:
    routes = Blueprint("terminal_sessions", __name__, url_prefix="/api/terminal/sessions")

    @operation(
        routes,
        "POST",
        "",
        operation_id="createTerminalSession",
        summary="Open a terminal session",
        guard=guard,
        body=NewSessionBody,
        answers={201: TerminalSessionAnswer},
        problems=(NotFound, LocalTerminalOff, TooManySessions),
    )
    def create(caller: Principal, body: NewSessionBody) -> Answer:
        """Prepares a session with one of your SSH profiles. Nothing is connected yet.

        Open the socket at `ws_url` and send `connect` with the `id` as `session_id` within 10 minutes. Afterwards the session has
        expired, and it no longer counts as open.
        """
        session_id = open_session(caller, body, auth.clock())
        return Answer(201, show_session(caller.user_id, session_id, ws_url))

    @operation(
        routes,
        "GET",
        "",
        operation_id="listTerminalSessions",
        summary="List your terminal sessions",
        guard=guard,
        query=ListQuery,
        answers={200: TerminalSessionsAnswer},
    )
    def show(caller: Principal, query: ListQuery) -> Answer:
        """Returns the newest first, also those that have ended."""
        return Answer(200, list_sessions(caller.user_id, query, ws_url))

    @operation(
        routes,
        "GET",
        "/<uuid:session_id>",
        operation_id="getTerminalSession",
        summary="Get a terminal session",
        guard=guard,
        answers={200: TerminalSessionAnswer},
        problems=(NotFound,),
    )
    def show_one(caller: Principal, session_id: UUID) -> Answer:
        """Returns its state. What was typed and shown is stored nowhere."""
        return Answer(200, show_session(caller.user_id, session_id, ws_url))

    @operation(
        routes,
        "DELETE",
        "/<uuid:session_id>",
        operation_id="endTerminalSession",
        summary="End a terminal session",
        guard=guard,
        problems=(NotFound,),
    )
    def end(caller: Principal, session_id: UUID) -> None:
        """Ends it wherever it runs, with the programs in it. It stays in the list as `closed`. You can end it twice."""
        end_session(caller.user_id, session_id, CloseReason.CLIENT, auth.clock())

    return routes
