"""App settings: what staff change while the service runs, as a price. What the environment sets is read once, at start-up."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

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


def read_setting(session: Session, setting: AppSetting[Value_co]) -> Value_co | None:
    """None where it is not set. The value alone is read: calls are priced by it."""
    stored = session.execute(select(StoredSetting.value).where(StoredSetting.name == setting.name)).scalar_one_or_none()
    return None if stored is None else setting.parse(stored)


@dataclass(frozen=True)
class CurrentSetting:
    """`stored` is None where its default counts."""

    setting: AppSetting[object]
    stored: StoredSetting | None


def current_settings(session: Session, settings: Iterable[AppSetting[object]]) -> list[CurrentSetting]:
    return [CurrentSetting(each, session.get(StoredSetting, each.name)) for each in settings]
