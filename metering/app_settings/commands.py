"""`flask settings`: the settings that are changed while the service runs."""

import json
from collections.abc import Sequence

import click
from flask.cli import AppGroup

from database import reading, transaction
from database.base import Clock
from metering.app_settings.app_setting import AppSetting, current_settings
from metering.app_settings.change import SettingRefused, change_setting


def setting_commands(settings: Sequence[AppSetting[object]], clock: Clock) -> AppGroup:
    """The command group `settings`."""
    group = AppGroup(
        "settings",
        help="Show and change the settings that apply at once, without a restart. For environment variables: flask config.",
    )
    by_name = {each.name: each for each in settings}

    @group.command("list")
    def show() -> None:
        """List the settings and their values."""
        if not by_name:
            click.echo("No product that is switched on has such a setting.")
        with reading() as session:
            for each in current_settings(session, settings):
                value = "not set" if each.stored is None else json.dumps(each.stored.value)
                click.echo(f"{each.setting.name}  {value}  {each.setting.title}")

    @group.command("set")
    @click.argument("name", type=click.Choice(sorted(by_name)))
    @click.argument("value")
    def change(name: str, value: str) -> None:
        """Change a setting. The value `null` unsets it, so that its default applies."""
        try:
            with transaction() as session:
                change_setting(session, by_name[name], typed_value(value), clock(), by=None)
        except SettingRefused as refusal:
            raise click.BadParameter(f"{refusal.reason}.", param_hint="VALUE") from None
        click.echo(f"{name} is now {'not set' if typed_value(value) is None else value}.")

    return group


def typed_value(text: str) -> object:
    """What somebody typed: JSON, or else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text
