"""`flask invites`: the codes that let people register where `REGISTRATION_MODE` is `invite`."""

from datetime import datetime, timedelta
from uuid import UUID

import click
from flask.cli import AppGroup
from sqlalchemy import select

from auth.assembly import Auth
from auth.audit.record import record
from auth.invites.create import create_invite
from auth.invites.models import Invite
from database import reading, transaction

MOST_USES = 1_000_000
MOST_SHOWN = 200


def invite_commands(auth: Auth) -> AppGroup:
    """The command group `invites`."""
    group = AppGroup("invites", help="Manage invite codes, which let people register.")

    @group.command("create")
    @click.option(
        "--uses",
        type=click.IntRange(1, MOST_USES),
        default=1,
        show_default=True,
        help="Accounts that can be created with it.",
    )
    @click.option("--days", type=click.IntRange(1, 365), default=30, show_default=True, help="Days until it expires.")
    @click.option("--note", help="A note for the list.")
    @click.option("--by", help="Your name, for the list.")
    def create(uses: int, days: int, note: str | None, by: str | None) -> None:
        """Create an invite code. The last line of the output is the code, which is not shown again."""
        made = create_invite(auth, uses=uses, lifetime=timedelta(days=days), note=note, by=by)
        click.echo(f"Valid for {uses} account(s) until {made.expires_at:%Y-%m-%d %H:%M} UTC. ID: {made.id}")
        click.echo(made.code)

    @group.command("list")
    def show() -> None:
        """List the newest 200 invite codes by ID. The codes themselves cannot be shown again."""
        with reading() as session:
            for invite in session.scalars(select(Invite).order_by(Invite.id.desc()).limit(MOST_SHOWN)):
                click.echo(line_of(invite, auth.clock()))

    @group.command("revoke")
    @click.argument("invite_id", type=click.UUID)
    def revoke(invite_id: UUID) -> None:
        """Revoke an invite code. Accounts created with it stay."""
        now = auth.clock()
        with transaction() as session:
            invite = session.get(Invite, invite_id, with_for_update=True)
            if invite is None:
                raise click.ClickException("No invite has this ID.")
            if invite.revoked_at is None:
                invite.revoked_at = now
                record(session, "invite_revoked", now, user_id=None, invite_id=str(invite_id))
        click.echo(f"Invite {invite_id} is revoked.")

    return group


def line_of(invite: Invite, now: datetime) -> str:
    if invite.revoked_at is not None:
        state = "revoked"
    elif invite.expires_at <= now:
        state = "expired"
    else:
        state = "valid" if invite.uses < invite.max_uses else "used up"
    told = (f"by {invite.created_by}" if invite.created_by else "", invite.note or "")
    return "  ".join(
        (str(invite.id), state, f"{invite.uses}/{invite.max_uses}", f"until {invite.expires_at:%Y-%m-%d}", *told)
    ).rstrip()
