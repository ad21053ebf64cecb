"""The invites, the newest first, as they are shown: never their codes."""

from datetime import datetime

from sqlalchemy import select

from auth.invites.bodies import InviteAnswer, InviteState
from auth.invites.models import Invite
from database import reading
from database.pages import Page, page_of
from security.api.cursor import ListQuery


def list_invites(now: datetime, asked: ListQuery) -> Page[InviteAnswer]:
    query = select(Invite).order_by(Invite.id.desc()).limit(asked.limit + 1)
    if asked.cursor is not None:
        query = query.where(Invite.id < asked.cursor)
    with reading() as session:
        return page_of([invite_answer(invite, now) for invite in session.scalars(query)], asked.limit)


def invite_answer(invite: Invite, now: datetime) -> InviteAnswer:
    return InviteAnswer(
        id=invite.id,
        state=_state_of(invite, now),
        max_uses=invite.max_uses,
        uses=invite.uses,
        note=invite.note,
        created_by=invite.created_by,
        created_at=invite.created_at,
        expires_at=invite.expires_at,
        revoked_at=invite.revoked_at,
    )


def _state_of(invite: Invite, now: datetime) -> InviteState:
    if invite.revoked_at is not None:
        return InviteState.REVOKED
    if invite.expires_at <= now:
        return InviteState.EXPIRED
    return InviteState.VALID if invite.uses < invite.max_uses else InviteState.USED_UP
