"""Deleting a private key for good."""

from uuid import UUID

from sqlalchemy import exists, select

from auth.assembly import Auth
from auth.audit.record import record
from auth.principal import Principal
from capabilities.terminal.models import SshKey, SshProfile
from capabilities.terminal.ssh.keys.problems import SshKeyInUse
from database import transaction
from security.edge.problems import NotFound


def delete_key(auth: Auth, caller: Principal, key_id: UUID) -> None:
    """Raises NotFound, and SshKeyInUse while a profile has it: profiles lock the row before they take it (save_profile.py)."""
    with transaction() as session:
        mine = select(SshKey).where(SshKey.id == key_id, SshKey.user_id == caller.user_id)
        key = session.scalars(mine.with_for_update()).one_or_none()
        if key is None:
            raise NotFound
        if session.scalars(select(exists().where(SshProfile.ssh_key_id == key_id))).one():
            raise SshKeyInUse
        session.delete(key)
        record(
            session,
            "ssh_key_removed",
            auth.clock(),
            user_id=caller.user_id,
            session_id=caller.session_id,
            key_id=str(key_id),
            fingerprint=key.fingerprint,
        )
