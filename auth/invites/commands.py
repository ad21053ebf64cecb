"""`flask invites`: the codes that let people register where `REGISTRATION_MODE` is `invite`."""

from datetime import timedelta
from uuid import UUID

import click
from flask.cli import AppGroup

from auth.assembly import Auth
from auth.invites.bodies import MOST_DAYS, MOST_USES, InviteAnswer
from auth.invites.create import create_invite
from auth.invites.list import list_invites
from auth.invites.revoke import revoke_invite
from security.api.cursor import ListQuery
from security.edge.problems import NotFound

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
    @click.option(
        "--days", type=click.IntRange(1, MOST_DAYS), default=30, show_default=True, help="Days until it expires."
    )
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
        for invite in list_invites(auth.clock(), ListQuery(limit=MOST_SHOWN)).items:
            click.echo(line_of(invite))

    @group.command("revoke")
    @click.argument("invite_id", type=click.UUID)
    def revoke(invite_id: UUID) -> None:
        """Revoke an invite code. Accounts created with it stay."""
        try:
            revoke_invite(auth, invite_id)
        except NotFound as refusal:
            raise click.ClickException(f"{refusal.detail}.") from None
        click.echo(f"Invite {invite_id} is revoked.")

    return group


def line_of(invite: InviteAnswer) -> str:
    state = invite.state.replace("_", " ")
    told = (f"by {invite.created_by}" if invite.created_by else "", invite.note or "")
    return "  ".join(
        (str(invite.id), state, f"{invite.uses}/{invite.max_uses}", f"until {invite.expires_at:%Y-%m-%d}", *told)
    ).rstrip()
