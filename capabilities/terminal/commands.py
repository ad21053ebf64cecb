"""`flask terminal`"""

from uuid import UUID

import click
from flask.cli import AppGroup

from auth.data_keys import DataKeys
from capabilities.terminal.models import CloseReason
from capabilities.terminal.sessions.end_session import end_session
from capabilities.terminal.sessions.list_open import list_open
from capabilities.terminal.ssh.keys.sealed_key import reseal
from database.base import Clock
from security.edge.problems import NotFound


def terminal_commands(keys: DataKeys, clock: Clock) -> AppGroup:
    group = AppGroup("terminal", help="Look after remote terminals.")

    @group.command("list")
    def list_command() -> None:
        """Show the sessions that are open, the oldest first."""
        for each in list_open():
            click.echo(f"{each.id}  {each.state:<17}  {each.created_at:%Y-%m-%d %H:%M} UTC  {each.email}")

    @group.command("end")
    @click.argument("session_id", type=click.UUID)
    def end_command(session_id: UUID) -> None:
        """End a session, wherever it runs. Its user sees the reason "admin"."""
        try:
            ended = end_session(None, session_id, CloseReason.ADMIN, clock())
        except NotFound:
            raise click.ClickException("No session has this ID.") from None
        click.echo(f"{session_id} has ended." if ended else f"{session_id} had ended before.")

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
