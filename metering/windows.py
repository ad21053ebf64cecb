"""Named stretches of UTC time that count by themselves. Nothing resets when one ends: the next has another name."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Window:
    """`begins` and `ends` are Unix seconds; `name` is what the ledger knows it by, such as 2026-11-29 or 2026-11."""

    name: str
    begins: float
    ends: float

    @property
    def seconds(self) -> int:
        return round(self.ends - self.begins)

    def seconds_left(self, at: float) -> float:
        return max(0.0, self.ends - at)


def hour_of(moment: datetime) -> Window:
    begins = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return _window(f"{begins:%Y-%m-%dT%H}", begins, begins + timedelta(hours=1))


def day_of(moment: datetime) -> Window:
    begins = _midnight(moment)
    return _window(f"{begins:%Y-%m-%d}", begins, begins + timedelta(days=1))


def month_of(moment: datetime) -> Window:
    begins = _midnight(moment).replace(day=1)
    return _window(f"{begins:%Y-%m}", begins, (begins + timedelta(days=31)).replace(day=1))


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _window(name: str, begins: datetime, ends: datetime) -> Window:
    return Window(name, begins.timestamp(), ends.timestamp())
