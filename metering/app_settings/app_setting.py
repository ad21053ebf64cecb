"""App settings: what staff change while the service runs, as a price. What the environment sets is read once, at start-up."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from database.one_statement import rows_of
from metering.app_settings.models import StoredSetting

Value_co = TypeVar("Value_co", covariant=True)


@dataclass(frozen=True)
class AppSetting(Generic[Value_co]):
    """One setting. `parse` makes a value of JSON, which is stored as it comes out, and raises ValueError with a sentence for
    people, without a full stop. `title` and `hint` are shown beside it; the hint says what counts while it is not set.
    """

    name: str
    title: str
    parse: Callable[[object], Value_co]
    hint: str = ""


AppSettings = tuple[AppSetting[object], ...]


def read_setting(engine: Engine, setting: AppSetting[Value_co]) -> Value_co | None:
    """None where it is not set. Calls are priced by it, so it is read in one short trip."""
    stored = rows_of(engine, "SELECT value FROM app_settings WHERE name = %s", (setting.name,))
    return setting.parse(stored[0][0]) if stored else None


@dataclass(frozen=True)
class CurrentSetting:
    """`stored` is None where its default counts."""

    setting: AppSetting[object]
    stored: StoredSetting | None


def current_settings(session: Session, settings: Iterable[AppSetting[object]]) -> list[CurrentSetting]:
    return [CurrentSetting(each, session.get(StoredSetting, each.name)) for each in settings]
