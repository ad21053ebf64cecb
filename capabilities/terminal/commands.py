"""`flask terminal`"""

import click
from flask.cli import AppGroup

from auth.data_keys import DataKeys
from capabilities.terminal.ssh.keys.sealed_key import reseal


def terminal_commands(keys: DataKeys) -> AppGroup:
    group = AppGroup("terminal", help="Look after remote terminals.")

    @group.command("reseal")
    def reseal_command() -> None:
        """Encrypt stored SSH keys anew with the first of DATA_KEYS, so that an older one can be removed."""
        done, failed = reseal(keys)
        click.echo(f"{done} encrypted anew with {keys.current}.")
        if failed:
            raise click.ClickException(
                f"{failed} cannot be opened with any of DATA_KEYS. `passed_over_items` lists them by ID."
            )

    return group
