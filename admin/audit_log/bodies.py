"""The filters of the audit log."""

from typing import Annotated

from pydantic import Field

from admin.list_filter import LONGEST_NAME, ListFilter, UtcMinute
from auth.audit.bodies import EventsQuery


class AuditQuery(ListFilter, EventsQuery):
    """`account`: whom it happened to. `actor`: the member of the staff who did it, by e-mail address or id."""

    actor: Annotated[str, Field(max_length=LONGEST_NAME)] | None = None
    since: UtcMinute | None = None
    until: UtcMinute | None = None
