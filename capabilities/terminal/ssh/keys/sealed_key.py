"""A stored private key: for whom it is sealed, opening it, and sealing it anew."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import undefer

from auth.data_keys import DataKeys
from capabilities.terminal.models import SshKey
from database import reading, transaction
from database.batch import work_through

BATCH = "reseal_ssh_keys"


def owner_of(user_id: UUID, key_id: UUID) -> bytes:
    """A row that is copied to another user, or over another key, cannot be opened."""
    return user_id.bytes + key_id.bytes


def open_sealed(keys: DataKeys, row: SshKey) -> str:
    """`sealed` must be loaded. The file as it was uploaded. Raises SealedValueUnreadable."""
    return keys.open(row.sealed, owner_of(row.user_id, row.id)).decode()


def reseal(keys: DataKeys) -> tuple[int, int]:
    """Seal with the current data key what another one sealed. Returns how many were, and how many cannot be opened."""
    with reading() as session:
        waiting: Sequence[UUID] = session.scalars(
            select(SshKey.id).where(SshKey.key_id != keys.current).order_by(SshKey.id)
        ).all()
    done = work_through(BATCH, waiting, lambda key_id: _reseal_one(keys, key_id))
    return done, len(waiting) - done


def _reseal_one(keys: DataKeys, key_id: UUID) -> int:
    """One that was deleted meanwhile counts as done. Raises SealedValueUnreadable."""
    with transaction() as session:
        row = session.get(SshKey, key_id, with_for_update=True, options=[undefer(SshKey.sealed)])
        if row is not None:
            content = open_sealed(keys, row)
            row.sealed, row.key_id = keys.seal(content.encode(), owner_of(row.user_id, row.id)), keys.current
    return 1
