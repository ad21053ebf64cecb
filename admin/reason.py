"""Why somebody of the staff acts: every act that harms or gives asks for it, and it is written into its event."""

from typing import Annotated

from pydantic import Field

from security.api.models import FilledIn
from security.api.typed_text import NOT_BLANK

Reason = Annotated[str, Field(min_length=10, max_length=500), NOT_BLANK]


class ReasonForm(FilledIn):
    reason: Reason
