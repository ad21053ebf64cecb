"""Changing an app setting. Each change is an event with the value before and after."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from auth.audit.record import record
from metering.app_settings.app_setting import AppSetting
from metering.app_settings.models import StoredSetting
from security.edge.problems import ValidationFailed, field_error


class SettingRefused(ValidationFailed):
    def __init__(self, reason: str) -> None:
        super().__init__([field_error(["value"], "value_error", reason)])
        self.reason = reason


def change_setting(
    session: Session,
    setting: AppSetting[object],
    value: object,
    now: datetime,
    *,
    by: UUID | None,
    reason: str | None = None,
) -> None:
    """`value` is JSON; None takes the setting away, so that its default counts again. `by` is the member of the staff, None for
    the operator. A value that it has already changes nothing. Raises SettingRefused.
    """
    try:
        parsed = None if value is None else setting.parse(value)
    except ValueError as refusal:
        raise SettingRefused(str(refusal)) from None
    row = select(StoredSetting.value).where(StoredSetting.name == setting.name).with_for_update()
    before = session.scalars(row).one_or_none()
    if parsed == before:
        return
    if parsed is None:
        session.execute(delete(StoredSetting).where(StoredSetting.name == setting.name))
    else:
        stored = {"value": parsed, "updated_by": by, "updated_at": now}
        session.execute(
            insert(StoredSetting)
            .values(name=setting.name, **stored)
            .on_conflict_do_update(index_elements=[StoredSetting.name], set_=stored)
        )
    because: dict[str, Any] = {"by": "operator"} if by is None else {}
    if reason is not None:
        because["reason"] = reason
    record(
        session,
        "app_setting_changed",
        now,
        user_id=None,
        actor_id=by,
        setting=setting.name,
        before=before,
        after=parsed,
        **because,
    )
