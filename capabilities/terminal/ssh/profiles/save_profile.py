"""Making and replacing profiles. Whether the server may be reached is judged before (judge_destination.py)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from auth.account_change import hold_account
from auth.principal import Principal
from capabilities.terminal.models import SshKey, SshProfile
from capabilities.terminal.plan_limits import TERMINAL_LIMITS
from capabilities.terminal.ssh.profiles.bodies import SshProfileAnswer, SshProfileBody, profile_answer
from capabilities.terminal.ssh.profiles.problems import ProfileExists, TooManyProfiles
from database import transaction
from database.base import uuid7
from security.edge.problems import NotFound, ValidationFailed, field_error


def make_profile(caller: Principal, body: SshProfileBody, now: datetime) -> SshProfileAnswer:
    """Raises TooManyProfiles, ProfileExists, and ValidationFailed for a key that the user does not have."""
    with transaction() as session:
        hold_account(session, caller.user_id)
        count = select(func.count()).where(SshProfile.user_id == caller.user_id)
        if session.scalars(count).one() >= TERMINAL_LIMITS[caller.tier].profiles:
            raise TooManyProfiles
        profile = SshProfile(id=uuid7(), user_id=caller.user_id, created_at=now)
        return _write(session, profile, body, now)


def replace_profile(caller: Principal, profile_id: UUID, body: SshProfileBody, now: datetime) -> SshProfileAnswer:
    """Raises NotFound too."""
    with transaction() as session:
        hold_account(session, caller.user_id)
        mine = select(SshProfile).where(SshProfile.id == profile_id, SshProfile.user_id == caller.user_id)
        profile = session.scalars(mine.with_for_update()).one_or_none()
        if profile is None:
            raise NotFound
        return _write(session, profile, body, now)


def _write(session: Session, profile: SshProfile, body: SshProfileBody, now: datetime) -> SshProfileAnswer:
    same_name = select(SshProfile.id).where(SshProfile.user_id == profile.user_id, SshProfile.name == body.name)
    if session.scalars(same_name.where(SshProfile.id != profile.id)).one_or_none() is not None:
        raise ProfileExists
    if body.ssh_key_id is not None:
        mine = select(SshKey.id).where(SshKey.id == body.ssh_key_id, SshKey.user_id == profile.user_id)
        # Locked, so that it is not deleted meanwhile (delete_key.py).
        if session.scalars(mine.with_for_update(read=True, key_share=True)).one_or_none() is None:
            raise ValidationFailed([field_error(["ssh_key_id"], "unknown_key", "You have no SSH key with this ID")])
    for name, value in body:
        setattr(profile, name, value)
    profile.updated_at = now
    session.add(profile)
    session.flush()
    return profile_answer(profile)
