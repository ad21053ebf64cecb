"""The filters of the request log."""

from typing import Annotated

from pydantic import Field

from admin.list_filter import ListFilter, UtcMinute
from metering.settle import Outcome

Name = Annotated[str, Field(max_length=64)]


class CallsQuery(ListFilter):
    request_id: Annotated[str, Field(max_length=64)] | None = None
    """`metadata.request_id` of an answer."""
    feature: Name | None = None
    outcome: Outcome | None = None
    error_code: Name | None = None
    since: UtcMinute | None = None
    until: UtcMinute | None = None
