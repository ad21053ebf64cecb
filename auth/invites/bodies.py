"""The JSON bodies of invites."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

from pydantic import Field

from security.api.cursor import ListAnswer
from security.api.models import WHOLE, AnswerBody, Body
from security.api.typed_text import ONE_LINE, trims

MOST_USES: Final = 1_000_000
MOST_DAYS: Final = 365
LONGEST_NOTE: Final = 200

Note = Annotated[
    str, Field(max_length=LONGEST_NOTE, pattern=ONE_LINE, examples=["For the launch"]), trims(LONGEST_NOTE)
]


class CreateInviteBody(Body):
    max_uses: Annotated[int, Field(ge=1, le=MOST_USES), WHOLE] = 1
    """How many accounts can be created with it."""
    expires_in_days: Annotated[int, Field(ge=1, le=MOST_DAYS), WHOLE] = 30
    note: Note | None = None
    """For the list. The people you invite do not see it."""


class InviteState(StrEnum):
    VALID = "valid"
    USED_UP = "used_up"
    EXPIRED = "expired"
    REVOKED = "revoked"


class InviteAnswer(AnswerBody):
    id: UUID
    state: InviteState
    max_uses: int
    uses: int
    """How many accounts were created with it."""
    note: str | None
    created_by: str | None
    """The ID of the admin who created it, or the name that was given on the command line."""
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


class NewInviteAnswer(InviteAnswer):
    code: str
    """The invite code. Store it now: we do not show it again."""


class InvitesAnswer(ListAnswer):
    invites: list[InviteAnswer]
