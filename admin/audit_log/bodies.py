"""The filters of the audit log."""

from typing import Annotated

from pydantic import Field

from admin.list_filter import ListFilter, UtcMinute


class AuditQuery(ListFilter):
    """`account`: whom it happened to. `actor`: the member of the staff who did it, by e-mail address or id."""

    actor: Annotated[str, Field(max_length=254)] | None = None
    event: Annotated[str, Field(max_length=64)] | None = None
    since: UtcMinute | None = None
    until: UtcMinute | None = None
