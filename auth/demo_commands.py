"""`flask bootstrap-demo`: accounts to look around with."""

import secrets
from collections.abc import Callable, Sequence
from uuid import UUID

import click
from flask.cli import with_appcontext

from auth.assembly import Auth
from auth.email_address import parse_email
from auth.manage_users import create_user
from auth.roles import Role
from auth.user_commands import said_plainly

DemoExtra = Callable[[UUID, UUID], tuple[str, str]]
"""Makes one more thing for a demonstration, given the admin's and the user's id. Its name, and what is printed of it."""


def demo_command(auth: Auth, *, production: bool, extras: Sequence[DemoExtra] = ()) -> click.Command:
    @click.command("bootstrap-demo")
    @with_appcontext
    def bootstrap_demo() -> None:
        """Make an admin and a user with new passwords, and print them. Refused in production."""
        if production:
            raise click.ClickException("This is production: accounts with printed passwords do not belong here.")
        mark = secrets.token_hex(3)
        made: list[tuple[str, str]] = []
        ids: dict[Role, UUID] = {}
        for role in (Role.ADMIN, Role.USER):
            email, password = parse_email(f"demo-{role}-{mark}@example.com"), secrets.token_urlsafe(18)
            with said_plainly():
                ids[role] = create_user(auth, email, password, role)
            made.append((role.value, f"{email.address}  {password}"))
        made += [extra(ids[Role.ADMIN], ids[Role.USER]) for extra in extras]
        for name, text in made:
            click.echo(f"{name:<9}{text}")

    return bootstrap_demo
