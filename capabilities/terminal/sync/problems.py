"""How writes of shared items are refused."""

from collections.abc import Sequence

from capabilities.terminal.sync.bodies import SyncItemAnswer
from security.edge.problems import Problem


class SyncConflict(Problem):
    """`items`: those that changed, as they are now."""

    status, error, title = 409, "conflict", "Another device changed an item. Nothing was stored"

    def __init__(self, items: Sequence[SyncItemAnswer]) -> None:
        super().__init__(items=[item.model_dump(mode="json") for item in items])


class TooManySyncItems(Problem):
    status, error = 409, "too_many_sync_items"
    title = "You have as many items as there can be, with those that were deleted. Use a key again instead"
