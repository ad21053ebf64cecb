"""`flask create-billing-periods`, `flask mark-overdue-periods`, and `flask billing-periods`: closing months and what comes after it.

Every command may be run twice.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import click
from flask.cli import AppGroup, with_appcontext
from sqlalchemy import select

from auth.email_address import EmailAddress
from auth.models import User
from auth.operators.commands import EMAIL, Address
from database import reading
from payments.billing.close import MonthNotOver, close_periods
from payments.billing.give_credit import LARGEST_CREDIT, LONGEST_REASON, give_credit
from payments.billing.mark_overdue import mark_overdue_periods
from payments.billing.months import MONTH, month_before
from payments.billing.read import Wanted, list_periods
from payments.billing.rules import PeriodRules
from payments.billing.settle_by_hand import mark_paid, waive
from payments.billing.state import PeriodState, in_words
from security.edge.problems import Problem


class Month(click.ParamType[str]):
    """A UTC month."""

    name = "YYYY-MM"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not isinstance(value, str) or MONTH.fullmatch(value) is None:
            self.fail("Enter a month as YYYY-MM, such as 2026-11.", param, ctx)
        return value


PERIOD = click.argument("period_id", type=click.UUID)
REASON = click.option("--reason", type=click.STRING, help="Why, for the audit log.")
CLOSED_STATES = [state.value for state in PeriodState if state is not PeriodState.OPEN]


@contextmanager
def refusals_said() -> Iterator[None]:
    """What cannot be done ends the command with its sentence."""
    try:
        yield
    except Problem as refusal:
        raise click.ClickException(f"{refusal.detail}.") from None


def billing_commands(rules: PeriodRules) -> tuple[click.Command, ...]:
    @click.command("create-billing-periods")
    @click.option("--month", type=Month(), help="The UTC month to close. Default: the last month that is over.")
    @with_appcontext
    def create(month: str | None) -> None:
        """Close a month: create each user's statement and send it. You can run this twice."""
        closed = month or month_before(rules.clock())
        try:
            made = close_periods(rules, closed)
        except MonthNotOver:
            raise click.BadParameter("this month is not over", param_hint="--month") from None
        click.echo(f"{made} statements of {closed} created.")

    @click.command("mark-overdue-periods")
    @with_appcontext
    def mark() -> None:
        """Mark statements overdue that were not paid in time. You can run this twice."""
        click.echo(f"{mark_overdue_periods(rules)} statements are overdue now.")

    group = AppGroup("billing-periods", help="Manage monthly statements.")

    @group.command("list")
    @click.option("--user", "email", type=Address(), help="Only those of the account with this e-mail address.")
    @click.option("--state", type=click.Choice(CLOSED_STATES), help="Only statements in this state.")
    @click.option("--month", type=Month(), help="Only statements of this UTC month.")
    @click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
    def show(email: EmailAddress | None, state: str | None, month: str | None, limit: int) -> None:
        """List statements, the newest month first."""
        user_id = None if email is None else account_of(email)
        wanted = Wanted(user_id, None if state is None else PeriodState(state), month)
        for each in list_periods(wanted, limit=limit).items:
            due = "" if each.due_at is None else f"  due {each.due_at:%Y-%m-%d}"
            click.echo(
                f"{each.id}  {each.period}  {each.user_id}  {each.state}  {each.requests} requests"
                f"  {in_words(each.amount_cents, each.currency)}{due}"
            )

    @group.command("mark-paid")
    @PERIOD
    @REASON
    def pay(period_id: UUID, reason: str | None) -> None:
        """Mark a statement paid that was paid in another way, such as by bank transfer."""
        with refusals_said():
            is_new = mark_paid(rules, period_id, reason=reason)
        click.echo(f"Statement {period_id} is paid{'' if is_new else ' already'}.")

    @group.command("waive")
    @PERIOD
    @REASON
    def let_go(period_id: UUID, reason: str | None) -> None:
        """Waive a statement: it does not have to be paid any more."""
        with refusals_said():
            is_new = waive(rules, period_id, reason=reason)
        click.echo(f"Statement {period_id} is waived{'' if is_new else ' already'}.")

    @group.command("credit")
    @EMAIL
    @click.option("--cents", type=click.IntRange(1, LARGEST_CREDIT), required=True, help="The amount in cents.")
    @click.option("--reason", required=True, help="Why. The user sees it in the statement.")
    def credit(email: EmailAddress, cents: int, reason: str) -> None:
        """Credit an account. The credit stands in the next statement.

        To give the same amount again before that, use another reason.
        """
        reason = reason.strip()
        if not 1 <= len(reason) <= LONGEST_REASON or not reason.isprintable():
            raise click.BadParameter(f"use 1 to {LONGEST_REASON} printable characters", param_hint="--reason")
        with refusals_said():
            given = give_credit(rules, account_of(email), cents, reason)
        click.echo(
            f"{in_words(cents, rules.currency)} credited to {email.address}. ID: {given.id}"
            if given.is_new
            else f"This credit was given already. ID: {given.id}"
        )

    return create, mark, group


def account_of(email: EmailAddress) -> UUID:
    with reading() as session:
        found = session.scalars(select(User.id).where(User.email_key == email.key)).one_or_none()
    if found is None:
        raise click.ClickException("No account uses this e-mail address.")
    return found
