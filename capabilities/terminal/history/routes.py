"""`/api/terminal/commands`: the command history of a user."""

from typing import Final
from uuid import UUID

from flask import Blueprint
from sqlalchemy import delete

from auth.assembly import Auth
from auth.principal import Principal
from capabilities.terminal.history.add_commands import add_commands
from capabilities.terminal.history.bodies import (
    AddedCommandsAnswer,
    CommandsQuery,
    NewCommandsBody,
    TerminalCommandsAnswer,
)
from capabilities.terminal.history.list_commands import list_commands
from capabilities.terminal.models import TerminalCommand
from database import transaction
from security.api.operation import Answer, Guard, operation
from security.api.request_bodies import Json
from security.edge.problems import NotFound

LARGEST_BODY: Final = 2**21
"""A hundred commands of full length with their folders, and room for what JSON escapes."""


def history_routes(auth: Auth, guard: Guard) -> Blueprint:
    routes = Blueprint("terminal_commands", __name__, url_prefix="/api/terminal/commands")

    @operation(
        routes,
        "POST",
        "",
        operation_id="addTerminalCommands",
        summary="Add commands to your history",
        guard=guard,
        body=Json(NewCommandsBody, limit=LARGEST_BODY),
        answers={201: AddedCommandsAnswer},
    )
    def add(caller: Principal, body: NewCommandsBody) -> Answer:
        """Up to 100 at once, all or none. Passwords, tokens and keys that have a known shape are masked before anything is stored.

        You can send the same commands again, for example after the network failed: an ID is stored once.
        """
        return Answer(201, add_commands(caller.user_id, body.items, auth.clock()))

    @operation(
        routes,
        "GET",
        "",
        operation_id="listTerminalCommands",
        summary="List your command history",
        guard=guard,
        query=CommandsQuery,
        answers={200: TerminalCommandsAnswer},
    )
    def show(caller: Principal, query: CommandsQuery) -> Answer:
        """Returns the newest first. When the command that a cursor names was deleted, begin the list again."""
        return Answer(200, list_commands(caller.user_id, query))

    @operation(
        routes,
        "DELETE",
        "",
        operation_id="deleteTerminalCommands",
        summary="Delete your command history",
        guard=guard,
    )
    def clear(caller: Principal) -> None:
        """Deletes all of it, on the server only. Devices that keep a copy can send it again."""
        with transaction() as session:
            session.execute(delete(TerminalCommand).where(TerminalCommand.user_id == caller.user_id))

    @operation(
        routes,
        "DELETE",
        "/<uuid:command_id>",
        operation_id="deleteTerminalCommand",
        summary="Delete a command from your history",
        guard=guard,
        problems=(NotFound,),
    )
    def remove(caller: Principal, command_id: UUID) -> None:
        """Deletes the command for good."""
        mine = delete(TerminalCommand).where(
            TerminalCommand.id == command_id, TerminalCommand.user_id == caller.user_id
        )
        with transaction() as session:
            if session.scalars(mine.returning(TerminalCommand.id)).one_or_none() is None:
                raise NotFound

    return routes
