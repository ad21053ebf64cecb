"""The settings of metering."""

from typing import ClassVar

from pydantic import Field

from settings.process import ProcessSection


class MeteringSection(ProcessSection):
    title: ClassVar = "Usage"

    request_log_days: int = Field(default=90, ge=31, le=3650)
    """How many days the log keeps a metered request. At least 31, because the usage of a month is added up from the log."""
