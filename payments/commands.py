"""`flask payments`: the inbox of provider events, and reconciling by hand. The commands of billing stand beside it."""

from uuid import UUID

import click
from flask.cli import AppGroup
from sqlalchemy import select

from database import reading
from payments.assembly import Payments
from payments.billing.commands import billing_commands
from payments.inbox.inbox import EventState
from payments.inbox.list_events import Wanted, list_events
from payments.inbox.reconcile import reconcile
from payments.models import BillingCount, BillingEvent
from payments.stripe.late_payments import add_late_payment_commands


def payment_commands(payments: Payments) -> tuple[click.Command, ...]:
    return event_commands(payments), *billing_commands(payments.periods)


def event_commands(payments: Payments) -> AppGroup:
    group = AppGroup("payments", help="Manage payment events and reconciling.")

    @group.command("events")
    @click.option(
        "--state", type=click.Choice([state.value for state in EventState]), help="Only events in this state."
    )
    @click.option("--dead", is_flag=True, help="Only dead events, which are no longer tried.")
    @click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
    def events(state: str | None, dead: bool, limit: int) -> None:
        """List events, newest first, without their content."""
        wanted = EventState.DEAD if dead else EventState(state) if state else None
        for row in list_events(Wanted(state=wanted), limit=limit).items:
            click.echo(
                f"{row.id}  {row.received_at:%Y-%m-%d %H:%M:%S}  {row.provider}  {row.kind}  {row.state}"
                f"  attempts {row.attempts}  {row.last_error or ''}".rstrip()
            )

    @group.command("counts")
    def counts() -> None:
        """Show counts of problems.

        They include forgeries, drift and unknown products. docs/payments.md explains each one.
        """
        with reading() as session:
            for row in session.scalars(select(BillingCount).order_by(BillingCount.name)):
                click.echo(f"{row.count:>8}  {row.name}  last {row.last_at:%Y-%m-%d %H:%M:%S}")

    @group.command("replay")
    @click.option(
        "--event",
        "event_ids",
        type=click.UUID,
        multiple=True,
        help="The event to process again. You can repeat this option.",
    )
    @click.option("--dead", is_flag=True, help="Process all dead events again.")
    @click.option("--ignored", is_flag=True, help="Process ignored events again.")
    @click.option("--reason", help="With --ignored: only events with this reason, as `events` shows it.")
    def replay(event_ids: tuple[UUID, ...], dead: bool, ignored: bool, reason: str | None) -> None:
        """Process events again. Safe at any time: nothing is applied twice."""
        if [bool(event_ids), dead, ignored].count(True) != 1:
            raise click.UsageError("Use exactly one of --event ID, --dead or --ignored.")
        if reason is not None and not ignored:
            raise click.UsageError("Use --reason only with --ignored.")
        if reason is not None and reason not in (known := reasons()):
            there_are = ", ".join(f'"{each}"' for each in known) or "none"
            raise click.ClickException(f'No event was ignored for "{reason}". Known reasons: {there_are}.')
        restarted = payments.inbox.replay(set(event_ids) or ended_as(dead=dead, reason=reason))
        click.echo(f"{restarted} queued again. The workers will apply them.")
        if event_ids and restarted < len(set(event_ids)):
            raise click.ClickException("Some of these events were not found.")

    @group.command("reconcile")
    def reconcile_now() -> None:
        """Ask the providers and correct differences. The hourly job does the same."""
        result = reconcile(payments.reconcilers, payments.rules.clock)
        click.echo(f"{result.checked} checked, {result.drift} corrected.")
        if result.failed:
            raise click.ClickException(f"Could not reach: {', '.join(result.failed)}.")

    if payments.stripe is not None:
        add_late_payment_commands(group, payments.stripe)
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
