"""The key that a server showed, for the user to accept within ten minutes."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from capabilities.terminal.models import SshSeenHostKey
from capabilities.terminal.ssh.host_key import HostKey
from capabilities.terminal.ssh.host_name import Server
from database.base import Clock, uuid7
from database.batch import purge
from database.jobs.declare import Job

FRESH: Final = timedelta(minutes=10)
BATCH: Final = "forget_seen_host_keys"


def note_seen(session: Session, user_id: UUID, server: Server, key: HostKey, now: datetime) -> None:
    """The latest one of each server. What is too old is forgotten with it, so a user never has more rows than tests in ten minutes."""
    old = delete(SshSeenHostKey).where(SshSeenHostKey.user_id == user_id, SshSeenHostKey.seen_at <= now - FRESH)
    session.execute(old)
    shown = {"algorithm": key.algorithm, "key": key.key, "fingerprint": key.fingerprint, "seen_at": now}
    noted = insert(SshSeenHostKey).values(id=uuid7(), user_id=user_id, host=server.host, port=server.port, **shown)
    session.execute(noted.on_conflict_do_update(index_elements=["user_id", "host", "port"], set_=shown))


def seen_key(session: Session, user_id: UUID, server: Server, fingerprint: str, now: datetime) -> HostKey | None:
    shown = select(SshSeenHostKey).where(
        SshSeenHostKey.user_id == user_id, SshSeenHostKey.host == server.host, SshSeenHostKey.port == server.port
    )
    fresh = shown.where(SshSeenHostKey.fingerprint == fingerprint, SshSeenHostKey.seen_at > now - FRESH)
    row = session.scalars(fresh).one_or_none()
    return None if row is None else HostKey(row.algorithm, row.key, row.fingerprint)


def seen_jobs(clock: Clock) -> tuple[Job, ...]:
    return (Job(BATCH, lambda: forget_seen(clock()), cron="41 * * * *"),)


def forget_seen(now: datetime) -> int:
    """Those of users who did not come back."""
    return purge(BATCH, select(SshSeenHostKey.id).where(SshSeenHostKey.seen_at <= now - FRESH))
