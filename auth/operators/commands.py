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
    AccountExists,
    NoSuchAccount,
    NothingToChange,
    create_user,
    disable,
    enable,
    give_tier,
    read_account,
    reset_second_factor,
    set_role,
)
from auth.operators.set_tier import SetTier
from auth.password_hashing.policy import PasswordRefused
from auth.password_hashing.worker_pool import PasswordWorkBusy
from auth.roles import Role
from auth.tiers import Tier
from security.api.typed_text import trimmed


class Address(click.ParamType[EmailAddress]):
    """An e-mail address of an account."""

    name = "email"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> EmailAddress:
        try:
            return value if isinstance(value, EmailAddress) else parse_email(trimmed(str(value)))
        except EmailAddressNotAcceptable as error:
            self.fail(str(error), param, ctx)


EMAIL = click.argument("email", type=Address())


def user_commands(auth: Auth, set_tier: SetTier) -> AppGroup:
    """The command group `users`. `set_tier` keeps a tier that is given by hand."""
    group = AppGroup("users", help="Accounts: make, show and change them. Every change counts at once.")

    @group.command("create-admin")
    @EMAIL
    @click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
    def create_admin(email: EmailAddress, password_stdin: bool) -> None:
        """Make an account with the role admin. The password is asked for, never an argument, which others could see."""
        with said_plainly():
            user_id = create_user(auth, email, read_password(password_stdin), Role.ADMIN)
        click.echo(f"{email.address} is an admin: {user_id}")

    @group.command("show")
    @EMAIL
    def show(email: EmailAddress) -> None:
        """Print one account. Nothing secret."""
        with said_plainly():
            account = read_account(auth, email)
        until = f" until {account.tier_until:%Y-%m-%d %H:%M} UTC" if account.tier_until is not None else ""
        source = f" ({account.tier_source})" if account.tier_source else ""
        lines = {
            "id": account.id,
            "email": f"{account.email} ({'confirmed' if account.is_verified else 'not confirmed'})",
            "role": account.role,
            "tier": f"{account.tier}{until}{source}",
            "active": "yes" if account.is_active else "no",
            "password": "yes" if account.has_password else "no",
            "created": f"{account.created_at:%Y-%m-%d %H:%M} UTC",
            "last sign-in": "never" if account.last_login_at is None else f"{account.last_login_at:%Y-%m-%d %H:%M} UTC",
            "sessions": account.sessions,
        }
        for name, value in lines.items():
            click.echo(f"{name:<14}{value}")

    @group.command("set-role")
    @EMAIL
    @click.argument("role", type=click.Choice([role.value for role in Role]))
    def change_role(email: EmailAddress, role: str) -> None:
        """Give an account a role: user, support or admin."""
        with said_plainly():
            set_role(auth, email, Role(role))
        click.echo(f"{email.address} has the role {role}.")

    @group.command("set-tier")
    @EMAIL
    @click.argument("tier", type=click.Choice([tier.value for tier in Tier]))
    @click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="The tier ends when this day begins, UTC.")
    def change_tier(email: EmailAddress, tier: str, until: datetime | None) -> None:
        """Give an account a tier by hand."""
        end = None if until is None else until.replace(tzinfo=UTC)
        if end is not None and end <= auth.clock():
            raise click.UsageError("--until must lie in the future.")
        if end is not None and tier == Tier.FREE.value:
            raise click.UsageError("The free tier has no end.")
        with said_plainly():
            give_tier(auth, set_tier, email, Tier(tier), end)
        click.echo(f"{email.address} has the tier {tier}{'' if end is None else f' until {end:%Y-%m-%d} 00:00 UTC'}.")

    @group.command("disable")
    @EMAIL
    def switch_off(email: EmailAddress) -> None:
        """Switch an account off. Ends its sessions and API keys and removes what was added within two weeks."""
        with said_plainly():
            disable(auth, email)
        click.echo(f"{email.address} is switched off.")

    @group.command("enable")
    @EMAIL
    def switch_on(email: EmailAddress) -> None:
        """Switch an account on again. Its user has to sign in anew."""
        with said_plainly():
            enable(auth, email)
        click.echo(f"{email.address} is switched on.")

    @group.command("reset-second-factor")
    @EMAIL
    def forget_second_factor(email: EmailAddress) -> None:
        """Remove the second factors and passkeys of an owner who lost them. Make sure that it is the owner who asks."""
        with said_plainly():
            reset_second_factor(auth, email)
        click.echo(f"{email.address} has no second factor any more. Every session was ended and the owner is told.")

    return group


@contextmanager
def said_plainly() -> Iterator[None]:
    """What is wrong is said in one line; the exit code is 1 and nothing has changed."""
    try:
        yield
    except NoSuchAccount:
        raise click.ClickException("There is no account with this address.") from None
    except AccountExists:
        raise click.ClickException("There is an account with this address already. See: flask users set-role") from None
    except NothingToChange:
        raise click.ClickException("It is so already; nothing was changed.") from None
    except PasswordRefused as refusal:
        (error,) = refusal.members["errors"]
        raise click.ClickException(str(error["message"])) from None
    except PasswordWorkBusy as busy:
        raise click.ClickException(busy.detail) from None


def read_password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, type=str)
    return password
