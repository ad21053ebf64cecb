"""`flask emails`: e-mails that failed."""

from uuid import UUID

import click
from flask.cli import AppGroup

from auth.mail.send_again import drop, list_dead_emails, send_again, send_all_again
from database.base import Clock

BY = "operator"
"""Whoever may start a command on the machine."""


def email_commands(clock: Clock) -> AppGroup:
    group = AppGroup("emails", help="List e-mails that could not be sent, and send them again.")

    @group.command("list")
    @click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
    def list_command(limit: int) -> None:
        """List e-mails that are no longer tried, newest first, with masked addresses."""
        found = list_dead_emails(clock(), limit=limit).items
        for each in found:
            outdated = "  link no longer valid" if each.outdated else ""
            click.echo(
                f"{each.id}  {each.failed_at:%Y-%m-%d %H:%M:%S}  {each.template}  {each.address}  {each.reason}{outdated}"
            )
        if not found:
            click.echo("No e-mails.")

    @group.command("send-again")
    @click.argument("email_id", type=click.UUID, required=False)
    @click.option("--all", "everything", is_flag=True, help="Send all of them again, for example after an outage.")
    def send_again_command(email_id: UUID | None, everything: bool) -> None:
        """Send an e-mail again. One whose link is no longer valid is removed and not sent."""
        if (email_id is None) != everything:
            raise click.UsageError("Use either an ID or --all.")
        if email_id is None:
            click.echo(f"{send_all_again(clock(), by=BY)} queued again. The workers will send them.")
        elif send_again(email_id, clock(), by=BY):
            click.echo("Queued again. A worker will send it.")
        else:
            raise click.ClickException("This e-mail was not found.")

    @group.command("drop")
    @click.argument("email_id", type=click.UUID)
    def drop_command(email_id: UUID) -> None:
        """Delete an e-mail, so that it is never sent."""
        if not drop(email_id, clock(), by=BY):
            raise click.ClickException("This e-mail was not found.")
        click.echo("Deleted.")

    return group
