"""How long a session lives without being used, and at most."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class SessionLifetimes:
    idle: timedelta = timedelta(minutes=60)
    absolute: timedelta = timedelta(days=7)
    remembered_idle: timedelta = timedelta(days=30)
    remembered_absolute: timedelta = timedelta(days=90)

    def idle_of(self, remember: bool) -> timedelta:
        return self.remembered_idle if remember else self.idle

    def absolute_of(self, remember: bool) -> timedelta:
        return self.remembered_absolute if remember else self.absolute
