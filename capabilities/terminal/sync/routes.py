"""`/api/terminal/sync`: what the devices of a user share."""

from typing import Final

from flask import Blueprint

from auth.assembly import Auth
from auth.principal import Principal
from capabilities.terminal.sync.bodies import NewSyncItemsBody, SyncAnswer, SyncQuery, SyncRevisionAnswer
from capabilities.terminal.sync.problems import SyncConflict, TooManySyncItems
from capabilities.terminal.sync.put_items import put_items
from capabilities.terminal.sync.read_since import read_since
from security.api.operation import Answer, Guard, operation
from security.api.request_bodies import Json
from security.api.slots import Slots

LARGEST_BODY: Final = 7 * 2**20
"""A hundred items of full length."""
WRITES_AT_ONCE: Final = 8
"""Of one process."""


def sync_routes(auth: Auth, guard: Guard) -> Blueprint:
    routes = Blueprint("terminal_sync", __name__, url_prefix="/api/terminal/sync")

    @operation(
        routes,
        "GET",
        "",
        operation_id="listSyncItems",
        summary="Get what your other devices changed",
        guard=guard,
        query=SyncQuery,
        answers={200: SyncAnswer},
    )
    def show(caller: Principal, query: SyncQuery) -> Answer:
        """Returns items that changed after the revision `since`, also those that were deleted. Up to 100 of them, and about 1 MiB."""
        return Answer(200, read_since(caller.user_id, query))

    @operation(
        routes,
        "PUT",
        "",
        operation_id="updateSyncItems",
        summary="Share items with your other devices",
        guard=guard,
        body=Json(NewSyncItemsBody, limit=LARGEST_BODY),
        answers={200: SyncRevisionAnswer},
        problems=(SyncConflict, TooManySyncItems),
        within=Slots(WRITES_AT_ONCE),
    )
    def put(caller: Principal, body: NewSyncItemsBody) -> Answer:
        """Stores up to 100 items, all or none. 409 `conflict` lists in `items` those that another device changed, as they are now.

        After an answer that never arrived, send the same again: a conflict that shows your own values says that they were stored.
        """
        return Answer(200, SyncRevisionAnswer(revision=put_items(caller.user_id, body.items, auth.clock())))

    return routes
