"""`flask payments`: the inbox of provider events, and reconciling by hand."""

from uuid import UUID

import click
from flask.cli import AppGroup
from sqlalchemy import select

from database import reading
from payments.assembly import Payments
from payments.inbox.inbox import EventState
from payments.inbox.reconcile import reconcile
from payments.models import BillingCount, BillingEvent
from payments.stripe.late_payments import late_payment_commands


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
    @click.option("--ignored", is_flag=True, help="All that were none of our business.")
    @click.option("--reason", help="With --ignored: only those that were ignored for this, as `events` shows it.")
    def replay(event_ids: tuple[UUID, ...], dead: bool, ignored: bool, reason: str | None) -> None:
        """Start events anew. Safe at any time: what was applied already is not applied twice."""
        if [bool(event_ids), dead, ignored].count(True) != 1:
            raise click.UsageError("Give --event ID, --dead or --ignored.")
        if reason is not None and not ignored:
            raise click.UsageError("--reason goes with --ignored.")
        if reason is not None and reason not in (known := reasons()):
            there_are = ", ".join(f'"{each}"' for each in known) or "none"
            raise click.ClickException(f'No event was ignored for "{reason}". There are: {there_are}.')
        restarted = payments.inbox.replay(set(event_ids) or ended_as(dead=dead, reason=reason))
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

    if payments.stripe is not None:
        for command in late_payment_commands(payments.stripe):
            group.add_command(command)
    return group


def ended_as(*, dead: bool, reason: str | None) -> list[UUID]:
    """Dead events, or ignored ones, of one reason or all; the oldest first."""
    query = select(BillingEvent.id).where(BillingEvent.state == (EventState.DEAD if dead else EventState.IGNORED))
    if reason is not None:
        query = query.where(BillingEvent.last_error == reason)
    with reading() as session:
        return list(session.scalars(query.order_by(BillingEvent.id)))


def reasons() -> list[str]:
    """Why events were ignored."""
    query = select(BillingEvent.last_error).where(BillingEvent.state == EventState.IGNORED).distinct()
    with reading() as session:
        return sorted(each for each in session.scalars(query) if each is not None)
