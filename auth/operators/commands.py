"""`flask users`: what operators do to accounts from the command line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click
from flask.cli import AppGroup

from auth.assembly import Auth
from auth.email_address import EmailAddress, EmailAddressNotAcceptable, parse_email
from auth.operators.accounts import (
    SetTier,
    TierEndRefused,
    create_user,
    describe,
    disable,
    enable,
    give_tier,
    reset_second_factor,
    set_role,
)
from auth.principal import Role
from auth.tiers import Tier
from security.api.typed_text import trimmed
from security.edge.problems import Problem


class Address(click.ParamType[EmailAddress]):
    """An e-mail address of an account."""

    name = "email"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> EmailAddress:
        try:
            return value if isinstance(value, EmailAddress) else parse_email(trimmed(str(value)))
        except EmailAddressNotAcceptable as error:
            self.fail(str(error), param, ctx)


EMAIL = click.argument("email", type=Address())


@contextmanager
def refusals_said() -> Iterator[None]:
    """What cannot be done ends the command with its sentence."""
    try:
        yield
    except TierEndRefused as refusal:
        raise click.BadParameter(f"{refusal.message}.", param_hint="--until") from None
    except Problem as refusal:
        raise click.ClickException(f"{refusal.detail}.") from None


def user_commands(auth: Auth, set_tier: SetTier) -> AppGroup:
    """The command group `users`. `set_tier` keeps a tier that is given by hand."""
    group = AppGroup("users", help="Manage accounts. Changes take effect at once.")

    @group.command("create-admin")
    @EMAIL
    @click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
    def create_admin(email: EmailAddress, password_stdin: bool) -> None:
        """Create an admin account. You are asked for the password."""
        user_id = create_user(auth, email, read_password(password_stdin), Role.ADMIN)
        click.echo(f"Created admin {email.address}. ID: {user_id}")

    @group.command("show")
    @EMAIL
    def show(email: EmailAddress) -> None:
        """Show an account."""
        with refusals_said():
            shown = describe(email, auth.clock())
        for name, value in shown.items():
            click.echo(f"{name:<14}{value}")

    @group.command("set-role")
    @EMAIL
    @click.argument("role", type=click.Choice([role.value for role in Role]))
    def change_role(email: EmailAddress, role: str) -> None:
        """Set the role of an account: user, support or admin."""
        with refusals_said():
            set_role(auth, email, Role(role))
        click.echo(f"{email.address} now has the role {role}.")

    @group.command("set-tier")
    @EMAIL
    @click.argument("tier", type=click.Choice([tier.value for tier in Tier]))
    @click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="The tier ends at the start of this day, UTC.")
    def change_tier(email: EmailAddress, tier: str, until: datetime | None) -> None:
        """Set the tier of an account."""
        end = None if until is None else until.replace(tzinfo=UTC)
        with refusals_said():
            give_tier(auth, set_tier, email, Tier(tier), end)
        click.echo(
            f"{email.address} now has the tier {tier}{'' if end is None else f' until {end:%Y-%m-%d} 00:00 UTC'}."
        )

    @group.command("disable")
    @EMAIL
    def disable_account(email: EmailAddress) -> None:
        """Disable an account. Ends its sessions and API keys and removes access that was added in the last two weeks."""
        with refusals_said():
            disable(auth, email)
        click.echo(f"{email.address} is disabled.")

    @group.command("enable")
    @EMAIL
    def enable_account(email: EmailAddress) -> None:
        """Enable an account again. Its user has to sign in again."""
        with refusals_said():
            enable(auth, email)
        click.echo(f"{email.address} is enabled.")

    @group.command("reset-second-factor")
    @EMAIL
    def reset_factors(email: EmailAddress) -> None:
        """Remove the second factors and passkeys of an account. Check first that its owner asked for this."""
        with refusals_said():
            reset_second_factor(auth, email)
        click.echo(f"Removed the second factors of {email.address}, ended its sessions and sent the owner an e-mail.")

    return group


def read_password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, type=str)
    return password
