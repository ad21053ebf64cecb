"""What a connection needs of the database, read before it, and what is written down after it. Both wait for PostgreSQL."""

from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import undefer

from auth.assembly import Auth
from auth.audit.record import record
from auth.data_keys import SealedValueUnreadable
from capabilities.terminal.models import SshAuth, SshKey, SshProfile
from capabilities.terminal.ssh.account import Account
from capabilities.terminal.ssh.destinations import Destination
from capabilities.terminal.ssh.failures import HostKeyChanged, HostKeyNotKnown
from capabilities.terminal.ssh.host_key import HostKey
from capabilities.terminal.ssh.host_name import Server
from capabilities.terminal.ssh.keys.sealed_key import open_sealed
from capabilities.terminal.ssh.known_hosts.accept import known_of
from capabilities.terminal.ssh.known_hosts.seen import note_seen
from database import reading, transaction
from security.edge.problems import NotFound
from security.logs.log import security_event


@dataclass(frozen=True)
class StoredKey:
    """`file` is as it was uploaded: one that `has_passphrase` still has it."""

    id: UUID
    fingerprint: str
    has_passphrase: bool
    file: str = field(repr=False)


@dataclass(frozen=True)
class Target:
    """A profile, the key that it signs in with, and the host keys that the user accepted there.

    `key` None: it needs none, or the stored one cannot be opened any more, which is logged.
    """

    user_id: UUID
    profile_id: UUID
    server: Server
    username: str
    auth: SshAuth
    terminal_type: str
    keepalive_seconds: int
    known: tuple[HostKey, ...]
    key: StoredKey | None

    def account(self, destination: Destination) -> Account:
        """For `connect`, once the destination was judged."""
        return Account(destination, self.username, self.auth, self.known, self.keepalive_seconds)


def read_target(auth: Auth, user_id: UUID, profile_id: UUID) -> Target:
    """Raises NotFound."""
    mine = select(SshProfile).where(SshProfile.id == profile_id, SshProfile.user_id == user_id)
    with reading() as session:
        profile = session.scalars(mine).one_or_none()
        if profile is None:
            raise NotFound
        key = None
        if profile.ssh_key_id is not None:
            key = session.get(SshKey, profile.ssh_key_id, options=[undefer(SshKey.sealed)])
        known = known_of(session, user_id, Server(profile.host, profile.port))
        return Target(
            user_id=user_id,
            profile_id=profile_id,
            server=Server(profile.host, profile.port),
            username=profile.username,
            auth=SshAuth(profile.auth),
            terminal_type=profile.terminal_type,
            keepalive_seconds=profile.keepalive_seconds,
            known=tuple(HostKey(row.algorithm, row.key, row.fingerprint) for row in known),
            key=None if key is None else _opened(auth, key),
        )


def _opened(auth: Auth, key: SshKey) -> StoredKey | None:
    try:
        return StoredKey(key.id, key.fingerprint, key.has_passphrase, open_sealed(auth.data_keys, key))
    except SealedValueUnreadable:
        security_event("stored_ssh_key_unreadable", user_id=key.user_id, key_id=str(key.id))
        return None


def note_connected(auth: Auth, target: Target) -> None:
    now = auth.clock()
    with transaction() as session:
        session.execute(update(SshProfile).where(SshProfile.id == target.profile_id).values(last_used_at=now))
        if target.key is not None:
            session.execute(update(SshKey).where(SshKey.id == target.key.id).values(last_used_at=now))


def note_host_key(auth: Auth, target: Target, failed: HostKeyNotKnown) -> None:
    """The user may accept it within ten minutes. What was accepted before stays as it is."""
    now = auth.clock()
    with transaction() as session:
        note_seen(session, target.user_id, target.server, failed.host_key, now)
        if isinstance(failed, HostKeyChanged):
            record(
                session,
                "ssh_host_key_changed",
                now,
                user_id=target.user_id,
                profile_id=str(target.profile_id),
                fingerprint=failed.host_key.fingerprint,
            )


def note_refused(auth: Auth, user_id: UUID) -> None:
    """That the destination is one that nobody may connect to."""
    with transaction() as session:
        record(session, "ssh_destination_refused", auth.clock(), user_id=user_id)
