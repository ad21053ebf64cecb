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
    return _window(int(moment.timestamp()) // HOUR_SECONDS, HOUR_SECONDS, "%Y-%m-%dT%H")


def day_of(moment: datetime) -> Window:
    return _window(int(moment.timestamp()) // DAY_SECONDS, DAY_SECONDS, "%Y-%m-%d")


def month_of(moment: datetime) -> Window:
    begins = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    ends = (begins + timedelta(days=31)).replace(day=1)
    return Window(f"{begins:%Y-%m}", begins.timestamp(), ends.timestamp(), begins.date())


@lru_cache(16)  # every call asks for the same few
def _window(number: int, seconds: int, name: str) -> Window:
    begins = number * seconds
    first = datetime.fromtimestamp(begins, UTC)
    return Window(first.strftime(name), begins, begins + seconds, first.date())
