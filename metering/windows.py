"""Named stretches of UTC time that count by themselves. Nothing resets when one ends: the next has another name."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

HOUR_SECONDS = 3_600
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Window:
    """`begins` and `ends` are Unix seconds; `name` is what the ledger knows it by, such as 2026-11-29 or 2026-11."""

    name: str
    begins: float
    ends: float
    first_day: date

    @property
    def seconds(self) -> int:
        return round(self.ends - self.begins)

    def seconds_left(self, at: float) -> float:
        return max(0.0, self.ends - at)


def hour_of(moment: datetime) -> Window:
    return _hour(int(moment.timestamp()) // HOUR_SECONDS)


def day_of(moment: datetime) -> Window:
    return _day(int(moment.timestamp()) // DAY_SECONDS)


def month_of(moment: datetime) -> Window:
    begins = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    ends = (begins + timedelta(days=31)).replace(day=1)
    return Window(f"{begins:%Y-%m}", begins.timestamp(), ends.timestamp(), begins.date())


# Every call asks for the same few windows.
@lru_cache(8)
def _hour(number: int) -> Window:
    begins = number * HOUR_SECONDS
    first = datetime.fromtimestamp(begins, UTC)
    return Window(f"{first:%Y-%m-%dT%H}", begins, begins + HOUR_SECONDS, first.date())


@lru_cache(8)
def _day(number: int) -> Window:
    begins = number * DAY_SECONDS
    first = datetime.fromtimestamp(begins, UTC)
    return Window(f"{first:%Y-%m-%d}", begins, begins + DAY_SECONDS, first.date())
