"""`flask payments`: the inbox of provider events, and reconciling by hand."""

from uuid import UUID

import click
from flask.cli import AppGroup
from sqlalchemy import select

from database import reading, transaction
from payments.assembly import Payments
from payments.event_inbox import EventState
from payments.models import BillingCount, BillingEvent
from payments.reconcile import reconcile


def payment_commands(payments: Payments) -> AppGroup:
    group = AppGroup("payments", help="Events of the payment providers, and reconciling.")

    @group.command("events")
    @click.option("--state", type=click.Choice([state.value for state in EventState]), help="Only these.")
    @click.option("--dead", is_flag=True, help="Only those that were given up.")
    @click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
    def events(state: str | None, dead: bool, limit: int) -> None:
        """List events, the newest first. Shows no content."""
        wanted = EventState.DEAD.value if dead else state
        query = select(BillingEvent).order_by(BillingEvent.id.desc()).limit(limit)
        with reading() as session:
            for row in session.scalars(query if wanted is None else query.where(BillingEvent.state == wanted)):
                click.echo(
                    f"{row.id}  {row.received_at:%Y-%m-%d %H:%M:%S}  {row.provider}  {row.kind}  {row.state}"
                    f"  attempts {row.attempts}  {row.last_error or ''}".rstrip()
                )

    @group.command("counts")
    def counts() -> None:
        """What was counted: forgeries, drift, unknown products."""
        with reading() as session:
            for row in session.scalars(select(BillingCount).order_by(BillingCount.name)):
                click.echo(f"{row.count:>8}  {row.name}  last {row.last_at:%Y-%m-%d %H:%M:%S}")

    @group.command("replay")
    @click.option("--event", "event_ids", type=click.UUID, multiple=True, help="This event. May be given repeatedly.")
    @click.option("--dead", is_flag=True, help="All that were given up.")
    def replay(event_ids: tuple[UUID, ...], dead: bool) -> None:
        """Start events anew. Safe at any time: what was applied already is not applied twice."""
        if bool(event_ids) == dead:
            raise click.UsageError("Give --event ID or --dead.")
        with transaction() as session:
            restarted = payments.inbox.replay(session, None if dead else list(event_ids))
        click.echo(f"{restarted} started anew; the workers apply them.")
        if event_ids and restarted < len(set(event_ids)):
            raise click.ClickException("Some of these events do not exist.")

    @group.command("reconcile")
    def reconcile_now() -> None:
        """Ask the providers what is true and correct what differs, as the hourly job does."""
        result = reconcile(payments.reconcilers, payments.rules.clock)
        click.echo(f"{result.checked} checked, {result.drift} corrected.")
        if result.failed:
            raise click.ClickException(f"Could not ask: {', '.join(result.failed)}.")

    for command in payments.provider_commands:
        group.add_command(command)
    return group
