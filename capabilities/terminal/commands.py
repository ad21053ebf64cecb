"""`flask terminal`"""

from uuid import UUID

import click
from flask.cli import AppGroup

from auth.assembly import Auth
from capabilities.terminal.demo import seed_demo
from capabilities.terminal.models import CloseReason
from capabilities.terminal.sessions.end_session import end_session
from capabilities.terminal.sessions.list_open import list_open
from capabilities.terminal.ssh.keys.sealed_key import reseal
from security.edge.problems import NotFound


def terminal_commands(auth: Auth, *, in_development: bool) -> AppGroup:
    keys = auth.data_keys
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
            ended = end_session(None, session_id, CloseReason.ADMIN, auth.clock())
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

    if in_development:

        @group.command("demo")
        @click.argument("email")
        @click.option("--port", type=click.IntRange(1, 65535), required=True, help="Of the SSH server on this machine.")
        @click.option("--username", required=True, help="Who may sign in there.")
        def demo_command(email: str, port: int, username: str) -> None:
            """Give an account a key and a profile for this machine, and print the line for its authorized_keys."""
            click.echo(seed_demo(auth, email, port, username))

    return group
