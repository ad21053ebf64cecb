"""What the routes of sync take and answer."""

from datetime import datetime
from typing import Annotated

import orjson
from pydantic import AfterValidator, Field, JsonValue

from capabilities.terminal.models import LONGEST_VALUE, SyncItem
from security.api.models import WHOLE, AnswerBody, Body
from security.api.strict_json import LARGEST_INTEGER

MOST_AT_ONCE = 100


def _storable(value: JsonValue) -> JsonValue:
    if len(orjson.dumps(value)) > LONGEST_VALUE:
        raise ValueError(f"Enter at most {LONGEST_VALUE:,} bytes of JSON")
    # PostgreSQL writes 1e300 with all its zeros, and it would come back as an integer that no client reads.
    inside = [value]
    while inside:
        each = inside.pop()
        if isinstance(each, dict | list):
            inside += each.values() if isinstance(each, dict) else each
        elif isinstance(each, float) and abs(each) > LARGEST_INTEGER:
            raise ValueError("Enter numbers up to 2^53, or send a larger one as text")
    return value


Kind = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,39}$", examples=["settings"])]
Key = Annotated[str, Field(min_length=1, max_length=256, examples=["font_size"])]
Value = Annotated[JsonValue, AfterValidator(_storable)]
Revision = Annotated[int, Field(ge=0, le=LARGEST_INTEGER), WHOLE]


class NewSyncItem(Body):
    kind: Kind
    """What sort of thing it is. Your app chooses."""
    key: Key
    """Its name among those of its kind."""
    value: Value
    """Any JSON of at most 64 KiB, or null to delete the item."""
    base_revision: Revision
    """The `revision` of the item that this replaces, also of one that was deleted. 0: you know of none."""


def _each_once(items: list[NewSyncItem]) -> list[NewSyncItem]:
    if len({(item.kind, item.key) for item in items}) < len(items):
        raise ValueError("Send each item only once")
    return items


class NewSyncItemsBody(Body):
    items: Annotated[list[NewSyncItem], Field(min_length=1, max_length=MOST_AT_ONCE), AfterValidator(_each_once)]


class SyncRevisionAnswer(AnswerBody):
    revision: int
    """Of the last item that you sent. The one before it has one less, and so on."""


class SyncQuery(Body):
    since: Revision = 0
    """`revision` of your previous answer. 0: from the beginning."""
    kinds: Annotated[list[Kind], Field(max_length=20)] = []
    """Only items of these kinds: `kinds=settings&kinds=snippets`. Keep a `since` of its own for each choice."""


class SyncItemAnswer(AnswerBody):
    kind: str
    key: str
    value: JsonValue
    """Null if it was deleted."""
    revision: int
    deleted: bool
    updated_at: datetime | None
    """Null for an item that never was, which only a conflict tells of."""


class SyncAnswer(AnswerBody):
    revision: int
    """Send it as `since` next time."""
    items: list[SyncItemAnswer]
    """What changed, in the order of the changes, each as it is now."""
    more: bool
    """There is more: ask again at once."""


def item_answer(row: SyncItem) -> SyncItemAnswer:
    return SyncItemAnswer(
        kind=row.kind,
        key=row.key,
        value=row.value,
        revision=row.revision,
        deleted=row.deleted,
        updated_at=row.updated_at,
    )


def never_was(item: NewSyncItem) -> SyncItemAnswer:
    return SyncItemAnswer(kind=item.kind, key=item.key, value=None, revision=0, deleted=True, updated_at=None)
