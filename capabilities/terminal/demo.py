"""A key and a profile to look around with: for an SSH server that was started on the developer's machine."""

from typing import Final

import click
from sqlalchemy import select

from auth.account_change import hold_account
from auth.assembly import Auth
from auth.email_address import parse_email
from auth.models import User
from capabilities.terminal.models import SshAuth, SshKey, SshProfile
from capabilities.terminal.ssh.keys.add_key import sealed_key
from database import transaction
from database.base import uuid7

NAME: Final = "This machine"
HOST: Final = "127.0.0.1"


def seed_demo(auth: Auth, email: str, port: int, username: str) -> str:
    """The line for `authorized_keys`. After each run the profile leads there; the key stays that of the first run.

    Raises ClickException.
    """
    from capabilities.terminal.ssh.keys.read_key import generate_ed25519  # noqa: PLC0415 - asyncssh

    now = auth.clock()
    with transaction() as session:
        user_id = session.scalars(select(User.id).where(User.email_key == parse_email(email).key)).one_or_none()
        if user_id is None:
            raise click.ClickException(f"No account has the address {email}.")
        hold_account(session, user_id)
        mine = select(SshKey).where(SshKey.user_id == user_id, SshKey.name == NAME).limit(1)
        key = session.scalars(mine).one_or_none()
        if key is None:
            key = sealed_key(auth, user_id, NAME, *generate_ed25519())
            session.add(key)
            session.flush()  # the profile refers to it
        its = select(SshProfile).where(SshProfile.user_id == user_id, SshProfile.name == NAME)
        profile = session.scalars(its).one_or_none()
        if profile is None:
            profile = SshProfile(id=uuid7(), user_id=user_id, name=NAME, created_at=now)
            profile.terminal_type, profile.keepalive_seconds = "xterm-256color", 15
            session.add(profile)
        profile.host, profile.port, profile.username, profile.updated_at = HOST, port, username, now
        profile.auth, profile.ssh_key_id = SshAuth.KEY, key.id
        return key.public_key
