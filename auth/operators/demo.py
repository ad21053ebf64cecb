"""`flask bootstrap-demo`: accounts to look around with."""

import secrets
from datetime import timedelta
from uuid import UUID

import click
from flask.cli import with_appcontext

from auth.api_keys.create import KeyRequest, create_api_key
from auth.assembly import Auth
from auth.email_address import parse_email
from auth.invites.create import create_invite
from auth.operators.accounts import create_user
from auth.principal import Role


def demo_command(auth: Auth, *, production: bool) -> click.Command:
    @click.command("bootstrap-demo")
    @with_appcontext
    def bootstrap_demo() -> None:
        """Create an admin, a user with an API key, and an invite, and print how to sign in. Not available in production."""
        if production:
            raise click.ClickException("You cannot create demo accounts in production.")
        mark = secrets.token_hex(3)
        made: list[tuple[str, str]] = []
        ids: dict[Role, UUID] = {}
        for role in (Role.ADMIN, Role.USER):
            email, password = parse_email(f"demo-{role}-{mark}@example.com"), secrets.token_urlsafe(18)
            ids[role] = create_user(auth, email, password, role)
            made.append((role.value, f"{email.address}  {password}"))
        wish = KeyRequest("demonstration", sorted(auth.scopes), timedelta(days=90), [])
        made.append(("API-key", create_api_key(auth, ids[Role.USER], None, wish).token))
        invite = create_invite(auth, uses=1, lifetime=timedelta(days=30), note="demonstration", by="bootstrap-demo")
        made.append(("invite", invite.code))
        for name, text in made:
            click.echo(f"{name:<9}{text}")

    return bootstrap_demo
