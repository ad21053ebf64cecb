"""`/admin/settings`: what is changed while the service runs, such as prices."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Final

from pydantic import Field

from admin.reason import Reason
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SHOWS, SitePages, Subject, act_with_form, see_other, show
from auth.page_sessions.site import ADMIN
from auth.principal import Principal, Role
from database import reading, transaction
from database.base import Clock
from metering.app_settings.app_setting import AppSetting, current_settings
from metering.app_settings.change import SettingRefused, change_setting
from metering.app_settings.commands import typed_value
from security.api.models import FilledIn
from security.api.operation import Answer, operation
from security.api.request_bodies import Form

NAME: Final = "settings"
PATH: Final = f"{ADMIN.root}/{NAME}"


class SettingForm(FilledIn):
    value: Annotated[str, Field(max_length=2_000)] | None = None
    """Left empty: the default counts again."""
    reason: Reason


def app_setting_pages(settings: Sequence[AppSetting[object]], clock: Clock) -> Subject:
    return Subject(NAME, "Settings", lambda guards: app_setting_routes(guards, settings, clock))


def app_setting_routes(guards: PageGuards, settings: Sequence[AppSetting[object]], clock: Clock) -> SitePages:
    pages = SitePages(ADMIN, NAME, __name__, done={"changed": "The setting is changed and applies from now on."})
    by_name = {each.name: each for each in settings}

    @operation(
        pages, "GET", "", operation_id="listSettings", summary="List the settings", guard=guards(), answers=SHOWS
    )
    def listed(caller: Principal) -> Answer:
        with reading() as session:
            found = current_settings(session, settings)
        return show("settings_list.html", title="Settings", found=found, may_act=caller.role is Role.ADMIN)

    if not by_name:
        return pages

    def form(caller: Principal, name: str) -> Answer:
        with reading() as session:
            (current,) = current_settings(session, (by_name[name],))
        return show("settings_change.html", title=by_name[name].title, current=current)

    def change(caller: Principal, name: str, body: SettingForm) -> Answer:
        value = None if body.value is None else typed_value(body.value)
        with transaction() as session:
            change_setting(session, by_name[name], value, clock(), by=caller.user_id, reason=body.reason)
        return see_other(PATH, "changed")

    act_with_form(
        pages,
        f"/{any_of(by_name)}",
        operation_ids=("showSettingForm", "changeSetting"),
        summary="Change a setting",
        guard=guards(Role.ADMIN, fresh=True),
        form=form,
        act=change,
        body=Form(SettingForm),
        problems=(SettingRefused,),
    )
    return pages


def any_of(names: Iterable[str]) -> str:
    """The path's argument `name`, which is one of these."""
    quoted = ", ".join(f'"{each}"' for each in names)
    return f"<any({quoted}):name>"
