"""`flask bootstrap-demo`: accounts to look around with."""

import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from itertools import chain
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

import click
from flask.cli import with_appcontext
from sqlalchemy import select

from auth.account_change import account_change
from auth.api_keys.create import KeyRequest, create_api_key
from auth.api_keys.list import is_live
from auth.assembly import Auth
from auth.audit.record import record
from auth.email_address import parse_email
from auth.insert_user import insert_user
from auth.invites.create import create_invite
from auth.invites.models import Invite
from auth.models import ApiKey, User
from auth.operators.accounts import OPERATOR, create_user
from auth.principal import Role
from database import db, reading, transaction
from settings.section import Environment

WELL_KNOWN: Final = ((Role.ADMIN, "admin@example.com", "admin123"), (Role.USER, "user@example.com", "user123"))
WELL_KNOWN_INVITE: Final = "DEMO1234"
KEY_NAME: Final = "demonstration"
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
BY: Final = "bootstrap-demo"
A_MONTH: Final = timedelta(days=30)


Demo = Callable[[], Iterable[tuple[str, str]]]
"""Makes something to look around with. Gives lines for whoever runs the command: a name and a text."""


def demo_command(auth: Auth, environment: Environment, further: Sequence[Demo] = ()) -> click.Command:
    """`further`: what products add."""

    @click.command("bootstrap-demo")
    @click.option(
        "--well-known",
        is_flag=True,
        help="admin@example.com / admin123, user@example.com / user123 and the invite DEMO1234. Only in development on localhost.",
    )
    @with_appcontext
    def bootstrap_demo(well_known: bool) -> None:
        """Create an admin, a user with an API key, and an invite, and print how to sign in. Not available in production."""
        if environment is Environment.PRODUCTION:
            raise click.ClickException("You cannot create demo accounts in production.")
        if well_known:
            refuse_elsewhere(auth, environment)
        made = _well_known(auth) if well_known else _random(auth)
        for name, text in chain(made, chain.from_iterable(each() for each in further)):
            click.echo(f"{name:<9}{text}")

    return bootstrap_demo


def refuse_elsewhere(auth: Auth, environment: Environment) -> None:
    """Passwords that everybody knows are for a machine that nobody else reaches: neither its address nor its database may be
    another's. Raises ClickException.
    """
    if environment is not Environment.DEVELOPMENT:
        raise click.ClickException(f"--well-known is only for development, and FLASK_ENV is {environment}.")
    address = urlsplit(auth.settings.issuer).hostname
    if address not in LOOPBACK:
        raise click.ClickException(f"--well-known is only for localhost, and PUBLIC_BASE_URL leads to {address}.")
    if db.engine.url.host not in LOOPBACK:
        raise click.ClickException(
            f"--well-known is only for localhost, and DATABASE_URL leads to {db.engine.url.host}."
        )


def _random(auth: Auth) -> list[tuple[str, str]]:
    mark = secrets.token_hex(3)
    made: list[tuple[str, str]] = []
    ids: dict[Role, UUID] = {}
    for role in (Role.ADMIN, Role.USER):
        email, password = parse_email(f"demo-{role}-{mark}@example.com"), secrets.token_urlsafe(18)
        ids[role] = create_user(auth, email, password, role)
        made.append((role.value, f"{email.address}  {password}"))
    made.append(("API-key", _api_key(auth, ids[Role.USER])))
    invite = create_invite(auth, uses=1, lifetime=A_MONTH, note=KEY_NAME, by=BY)
    return [*made, ("invite", invite.code)]


def _well_known(auth: Auth) -> list[tuple[str, str]]:
    """After each run, what is printed works. The key's token is known to the run that made it alone."""
    made: list[tuple[str, str]] = []
    user_id = None
    for role, address, password in WELL_KNOWN:
        user_id = _account(auth, address, password, role)
        made.append((role.value, f"{address}  {password}"))
    query = select(ApiKey.id).where(ApiKey.user_id == user_id, ApiKey.name == KEY_NAME, is_live(auth.clock())).limit(1)
    with reading() as session:
        has_key = session.scalars(query).one_or_none() is not None
    if user_id is not None and not has_key:
        made.append(("API-key", _api_key(auth, user_id)))
    else:
        made.append(("API-key", "printed by an earlier run"))
    _invite(auth)
    return [*made, ("invite", WELL_KNOWN_INVITE)]


def _account(auth: Auth, address: str, password: str, role: Role) -> UUID:
    """Made, or given this password and role again."""
    email, password_hash = parse_email(address), auth.passwords.hash(password)
    with account_change(auth.states, auth.clock()) as change:
        user = change.hold(User.email_key == email.key)
        if user is None:
            user = insert_user(
                change.session, email, change.now, password_hash=password_hash, role=role.value, is_verified=True
            )
            if user is None:
                raise click.ClickException("Another run makes these accounts right now. Try again.")
            record(change.session, "registered", change.now, user_id=user.id, by=OPERATOR, role=role.value)
        else:
            user.password_hash, user.role = password_hash, role.value
            user.is_verified, user.is_active, user.delete_after = True, True, None
            change.permission_changed(user.id)
        return user.id


def _api_key(auth: Auth, user_id: UUID) -> str:
    wish = KeyRequest(KEY_NAME, sorted(auth.scopes), timedelta(days=90), [])
    return create_api_key(auth, user_id, None, wish).token


def _invite(auth: Auth) -> None:
    """Good for one account, also when an earlier run made it and somebody used it."""
    now, code_hash = auth.clock(), auth.invite_codes.hash_of(WELL_KNOWN_INVITE)
    with transaction() as session:
        invite = session.scalars(select(Invite).where(Invite.code_hash == code_hash).with_for_update()).one_or_none()
        if invite is None:
            invite = Invite(code_hash=code_hash, note=KEY_NAME, created_by=BY, created_at=now)
            session.add(invite)
        invite.max_uses, invite.uses, invite.revoked_at, invite.expires_at = 1, 0, None, now + A_MONTH
        session.flush()
        record(session, "invite_created", now, user_id=None, invite_id=str(invite.id), uses=1)
